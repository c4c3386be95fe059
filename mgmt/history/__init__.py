"""Numbered snapshots of the users' objects, and rollbacks to one of them (design D2, D10).

A snapshot is what users had written at a config_version; outputs are translated from it again, with the endpoints of
now.
"""
