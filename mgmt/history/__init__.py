"""Numbered snapshots of the users' objects, and how one begins and ends a rollback to one of them (design D2, D10).

A snapshot is what users had written at a config_version; what stands in for it meanwhile: `mgmt.pins`.
"""
