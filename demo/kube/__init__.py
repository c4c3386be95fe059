"""The demo on Kubernetes: the story of `demo` on three API servers, Istio in two of them. What it needs of a machine it
shares with the cluster tests (docs/testing.md).
"""
