"""What follows from a set of objects: pure functions over snapshots (design D10).

They run on a translator of their own, so that a question never touches that of a serving replica.
"""
