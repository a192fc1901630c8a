"""orchctl: the command line and the Python client of orchestratord.

It knows the wire and nothing of the daemon's inside. What a plain command
needs (``cli``, ``arguments``, ``wire`` and the two tables) is standard library
with as few imports as possible, because a command's life is mostly start-up;
everything else is imported when it is asked for.
"""
