"""`fingerpost-agent`: the agent as a process."""

from __future__ import annotations

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # read when grpc is imported, below: its lines are no JSON

from agent.running import running_agent
from agent.settings import Settings
from fingerpost.cluster.protocol import ClusterFailed
from fingerpost.process import run
from fingerpost.secrets.protocol import SecretsFailed

_EDGE = (ClusterFailed, SecretsFailed, OSError)  # of OSError also: a port in use


def main() -> None:
    about = "The agent of Fingerpost."
    run("fingerpost-agent", Settings, about, running_agent, lambda s: {"logger": "agent", "cluster": s.cluster}, _EDGE)


if __name__ == "__main__":
    main()
