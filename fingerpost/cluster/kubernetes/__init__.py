"""KubernetesCluster: a cluster behind its API server (design D8)."""
