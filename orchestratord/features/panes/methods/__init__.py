"""The methods of the panes feature: session, window, pane, input, output, labels."""
