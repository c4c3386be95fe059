"""Named secrets, wherever they are kept."""
