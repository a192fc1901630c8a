"""Decisions: questions with options and a deadline, answered by people, agents or nobody."""
