"""`python -m demo.kube`: the demo on Kubernetes. Without Go or namespaces it says what is missing, and ends well."""

from __future__ import annotations

import os
import sys

from tests.kube import inside


def main() -> int:
    if lacking := inside.missing():
        sys.stdout.write(f"the demo on Kubernetes was not run: {lacking}\n")
        return 0
    os.environ["GRPC_VERBOSITY"] = "NONE"
    try:
        return inside.run("demo.kube.story")
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
