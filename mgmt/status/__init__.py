"""Statuses of users' objects, on their way out. What they say is decided in `mgmt.translate`."""
