"""The methods about the daemon itself, and those about events."""
