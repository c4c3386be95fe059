"""What both halves of Fingerpost share: the users' API, cluster access, relay frames."""

__version__ = "0.1.0"
