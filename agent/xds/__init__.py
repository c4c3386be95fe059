"""The xDS server of the agent: what its own Envoys are told, and in which order."""
