"""Agents that share one daemon: who they are, what they may do, and what they did."""
