"""How long the completion of a cluster name takes, as a shell asks for it: a process for each press of a key (C-46);
and the version of the client, which asks nobody (C-8).

`python -m bench.completion CLUSTERS PRESSES`.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench import world
from bench.figures import emit, say, spread
from bench.processes import fetch, server


def main(clusters: int, presses: int) -> None:
    names = [f"c{number}" for number in range(clusters)]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        world.write_management(root, names, 1)
        with server(root) as (_, _, admin):
            url = f"http://127.0.0.1:{admin}"
            while len(fetch(f"{url}/clusters")["clusters"]) < clusters:
                time.sleep(0.1)
            contexts = root / "contexts.yaml"
            contexts.write_text(f"current: a\ncontexts: {{a: {{server: '{url}'}}}}\n")
            command = [sys.executable, "-m", "ctl", "__complete", "--", "cluster", "describe", "c"]
            took, version = [], []
            for _ in range(presses):
                began = time.perf_counter()
                environment = os.environ | {"FINGERPOST_CONFIG": str(contexts)}
                found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
                took.append((time.perf_counter() - began) * 1000)
                began = time.perf_counter()
                subprocess.run([sys.executable, "-m", "ctl", "version", "--client"], capture_output=True, check=True)
                version.append((time.perf_counter() - began) * 1000)
                if len(found.splitlines()) != clusters:
                    raise SystemExit(f"{clusters} clusters there are, these were offered: {found}")
    say(f"load of this machine: {os.getloadavg()[0]:.1f}")
    emit("completion", clusters=clusters, presses=presses, **spread("", took), **spread("version_", version))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200, int(sys.argv[2]) if len(sys.argv) > 2 else 30)
