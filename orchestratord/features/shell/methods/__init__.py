"""The methods of the shell feature."""
