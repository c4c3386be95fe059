"""A folder of Kubernetes manifests as a cluster: the embedded default, for demos, tests, dry runs and gateways on
bare machines.
"""

from fingerpost.cluster.directory.cluster import DirectoryCluster

__all__ = ["DirectoryCluster"]
