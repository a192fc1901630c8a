"""Delivering text to programs: typed, pasted, submitted, with evidence for each step."""
