"""Sessions, windows and panes: their whole life."""
