"""``orchctl agent-loop``: a model works on a task in panes, through the tools of ``orchctl.mcp``.

An example of the whole: short enough to read, bounded in turns and tokens. ``loop`` asks
the model and does what it calls; ``program`` reads the flags and tells what happens.
"""
