"""What this agent holds of the desired state of its gateways, and what of it is in force."""
