"""A pod of the shop, `python -m demo.kube.pod CLUSTER APP`: answers with its cluster and a name of its own."""

from __future__ import annotations

import asyncio
import os
import sys

from demo.backends import serve

if __name__ == "__main__":
    cluster, app = sys.argv[1:]
    name = f"{app}-{os.environ['HOSTNAME'].rpartition('-')[2]}"
    asyncio.run(serve({"0.0.0.0": {"cluster": cluster, "pod": name}}))  # noqa: S104 - a pod has one address
