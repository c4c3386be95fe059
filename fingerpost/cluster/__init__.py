"""A cluster as its agent and the server see it (design D8): one small Protocol, a folder or a Kubernetes API server
behind it.
"""
