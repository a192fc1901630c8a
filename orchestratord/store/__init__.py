"""The SQLite engine. Knows no tmux and no RPC."""
