"""The Kubernetes kinds that we read, reduced to the fields we use (destinations.md §2.1).

Unknown fields are normal here and never a finding.
"""
