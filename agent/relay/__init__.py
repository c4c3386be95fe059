"""The agent's half of the relay: facts out on Push, desired state in on Pull."""
