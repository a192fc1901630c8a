"""orchestratord: one daemon that owns a user's private tmux server.

The architecture, with its decisions and their figures, is in README.md beside
this file.
"""

__version__ = "0.1.0"
