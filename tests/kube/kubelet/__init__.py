"""A kubelet for tests: pods of a real API server run as local processes, each in namespaces of its own.

A pod has an address and a loopback of its own; a container sees the machine's files under a layer that takes its
writes, and its volumes where the manifest mounts them. Users, resource limits and host access are not imitated: all
runs as the one user there is, and what asks for the host is refused with a message.
"""
