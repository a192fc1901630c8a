"""``orchctl advisor``: has open decisions answered, by Claude or by a person at the terminal.

A program of its own beside the daemon, which needs no model: whoever does not
want it does not start it. ``follow`` knows what is open, ``claude`` asks the
API, ``person`` the terminal, ``program`` puts them together.
"""
