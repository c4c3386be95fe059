"""The demo: the whole road on real processes, told as a story. Not part of the distribution; it only uses what users
have:
manifests, commands, requests.
"""
