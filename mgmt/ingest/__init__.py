"""Facts of all clusters come in here: in memory at once, then translated and stored in turns (design D3, D4)."""
