"""The server's half of the relay: facts in on Push, desired state out on Pull."""
