"""The JSON-RPC engine. Knows no tmux and no SQL."""
