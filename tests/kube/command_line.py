"""The command line as a process of its own, with nothing but a kubeconfig."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

from tests.fleet.fleet_processes import ROOT
from tests.kube import tools


class Result(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def spec(self) -> Any:
        return self.document["spec"]


class CommandLine:
    """`home` has no contexts file; Helm keeps what it caches there."""

    def __init__(self, home: Path, kubeconfig: Path | None = None, *, helm: bool = True) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FINGERPOST", "HELM", "KUBE"))}
        path = os.environ["PATH"]
        if helm:
            path = f"{Path(tools.binary('helm')).parent}:{path}"
        self.environment = kept | {"HOME": str(home), "NO_COLOR": "1", "PATH": path}
        if kubeconfig is not None:
            self.environment["KUBECONFIG"] = str(kubeconfig)

    async def __call__(self, *arguments: str, stdin: str | None = None) -> Result:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ctl", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self.environment,
            cwd=ROOT,
        )
        try:
            out, err = await process.communicate((stdin or "").encode())
        finally:
            if process.returncode is None:
                process.kill()
        return Result(process.returncode or 0, out.decode(), err.decode())


def both(folder: Path, *kubeconfigs: Path) -> Path:
    """One kubeconfig with the contexts of all; users are renamed after the clusters, else they would be one."""
    import yaml

    merged: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "clusters": [], "users": [], "contexts": []}
    for file in kubeconfigs:
        found = yaml.safe_load(file.read_text())
        name = found["current-context"]
        merged.setdefault("current-context", name)
        merged["clusters"] += found["clusters"]
        merged["users"].append({"name": name, "user": found["users"][0]["user"]})
        merged["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(merged))
    return path
