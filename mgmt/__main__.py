"""`fingerpost-mgmt`: the management server as a process."""

from __future__ import annotations

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read when grpc is imported, below: its lines are no JSON

from fingerpost.cluster.protocol import ClusterFailed
from fingerpost.process import run
from fingerpost.secrets.protocol import SecretsFailed
from mgmt.running import running_server
from mgmt.settings import Settings
from mgmt.store.errors import StoreError

_EDGE = (StoreError, ClusterFailed, SecretsFailed, OSError)  # of OSError also: a port in use


def main() -> None:
    about = "The management server of Fingerpost."
    run("fingerpost-mgmt", Settings, about, running_server, lambda s: {"logger": "mgmt", "replica": s.replica}, _EDGE)


if __name__ == "__main__":
    main()
