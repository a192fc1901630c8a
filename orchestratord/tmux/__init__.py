"""The tmux engine. Knows no SQL and no RPC."""
