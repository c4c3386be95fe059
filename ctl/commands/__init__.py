"""One module per noun. Each imports what it needs when it runs, so that the start stays short (C-8)."""
