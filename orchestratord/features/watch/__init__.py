"""Patterns over live output: waits, and watches that act."""
