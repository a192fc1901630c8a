"""The methods of waits and watches."""
