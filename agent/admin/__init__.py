"""Health, metrics and the few questions that the command line asks an agent, on loopback."""
