"""The methods about agents, leases, messages and the audit."""
