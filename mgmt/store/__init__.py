"""Redis, the only store (design D4): inputs, their sequence and its stream, ownership.

It knows nothing of what the inputs mean.
"""
