"""From a translator's turn to what agents are served: scopes with their history, guards, arrival. No gRPC and no Redis
here.
"""
