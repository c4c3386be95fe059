"""What one cluster is made of, as its agent sees it, and which of that leaves the cluster (destinations.md §2). Pure:
no I/O, no clock.
"""
