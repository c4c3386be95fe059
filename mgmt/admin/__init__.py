"""The admin API of a server: questions about what it knows, and the few orders that a person gives it."""
