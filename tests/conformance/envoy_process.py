"""A real Envoy on a bootstrap of static resources; its listeners are on ports that the kernel chose."""

from __future__ import annotations

import http.client
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import envoy

_BINARY = Path(envoy.__file__).parent / "_bin" / "envoy"
_UP = "starting main dispatch loop"


@contextmanager
def running_envoy(folder: Path, bootstrap: bytes) -> Iterator[dict[str, int]]:
    """Listener -> port. What Envoy writes to stdout is in `access.log`."""
    (folder / "bootstrap.pb").write_bytes(bootstrap)
    command = [str(_BINARY), "-c", str(folder / "bootstrap.pb"), "--use-dynamic-base-id", "--concurrency", "1"]
    command += ["--admin-address-path", str(folder / "admin")]
    with (folder / "access.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=log, text=True)
    try:
        yield _ports(process, folder)
    finally:
        process.terminate()
        process.wait()


def _ports(process: subprocess.Popen[str], folder: Path) -> dict[str, int]:
    """Waits for Envoy's own word that it is up; its log is read to the end, or it would block on a full pipe."""
    assert process.stderr is not None
    lines: list[str] = []
    for line in process.stderr:
        lines.append(line)
        if _UP in line:
            break
    else:
        raise AssertionError("".join(lines))
    threading.Thread(target=lambda log: [None for _ in log], args=(process.stderr,), daemon=True).start()
    host, _, port = (folder / "admin").read_text().rpartition(":")
    admin = http.client.HTTPConnection(host, int(port), timeout=10)
    try:
        admin.request("GET", "/listeners?format=json")
        statuses = json.loads(admin.getresponse().read())["listener_statuses"]
    finally:
        admin.close()
    return {s["name"]: s["local_address"]["socket_address"]["port_value"] for s in statuses}
