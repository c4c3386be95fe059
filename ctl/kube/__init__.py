"""What the command line does with API servers. Imported only when it does, since the client takes its time (C-8)."""
