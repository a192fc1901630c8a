"""The daemon itself: status, configuration, events, discovery."""
