"""The chapters of the story on Kubernetes, in order."""
