"""Commands in living shells, run exactly: integration, prompts, exec."""
