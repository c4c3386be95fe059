"""The translator as a graph of steps: which pure function runs for which object, and what it may read.

The functions themselves are in `workspace`, `routing`, `policy` and `emit`; here they are only joined.
"""
