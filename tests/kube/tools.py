"""The Go-built tools of this tier: a real API server with its controllers, istiod, and Helm's command.

They are built once into a cache folder that bears the hash of the module files, whose checksums pin every source.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

_HERE = Path(__file__).parent / "go"
_KUBERNETES = "v1.35.3"
_GO = (1, 26)


class Module(NamedTuple):
    """A folder with a go.mod, and the programs built from it."""

    name: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    flags: str = "-s -w"
    tags: str = ""


MODULES = (
    Module(
        "kube",
        ("./kube-apiserver", "./kube-controller-manager", "./kube-scheduler"),
        ("kube-apiserver", "kube-controller-manager", "kube-scheduler"),
        f"-s -w -X k8s.io/component-base/version.gitVersion={_KUBERNETES}",
    ),
    Module("helm", ("helm.sh/helm/v4/cmd/helm",), ("helm",)),
    # without the clients of all clouds, in which Prometheus looks for its targets
    Module("prometheus", ("github.com/prometheus/prometheus/cmd/promtool",), ("promtool",), tags="remove_all_sd"),
    Module("istio", ("istio.io/istio/pilot/cmd/pilot-discovery",), ("pilot-discovery",)),
)


class ToolsMissing(Exception):
    """They are not built and cannot be; the message says why, in one line."""


def folder(module: Module) -> Path:
    digest = sha256((module.flags + module.tags).encode())
    for file in sorted(_sources(module)):
        digest.update(file.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "fingerpost" / "tools" / f"{module.name}-{digest.hexdigest()[:16]}"


def _sources(module: Module) -> Iterable[Path]:
    return (file for file in (_HERE / module.name).rglob("*") if file.is_file())


def built(module: Module) -> bool:
    return all((folder(module) / program).is_file() for program in module.programs)


def binary(program: str) -> str:
    """Raises ToolsMissing."""
    for module in MODULES:
        if program in module.programs and built(module):
            return str(folder(module) / program)
    raise ToolsMissing(f"{program} is not built; run `make tools`")


def build() -> None:
    """Builds what is not there. Raises ToolsMissing when there is no Go to build it with."""
    for module in MODULES:
        if not built(module):
            _require_go()
            print(f"building {', '.join(module.programs)} (once, some minutes)", file=sys.stderr, flush=True)
            _build(module)


def istio_crds() -> Path:
    """The file of Istio's CRDs, as Istio's own chart installs them."""
    return folder(MODULES[-1]) / "crds.yaml"


def _require_go() -> None:
    go = shutil.which("go")
    if go is None:
        raise ToolsMissing("Go is not installed")
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < _GO:
        raise ToolsMissing(f"Go {'.'.join(map(str, _GO))} or newer is needed, found: {said.strip() or 'nothing'}")


def _build(module: Module) -> None:
    """Into a folder beside the final one, so that a build that is broken off leaves nothing that looks complete."""
    target = folder(module)
    target.parent.mkdir(parents=True, exist_ok=True)
    work = target.with_name(f"{target.name}.{os.getpid()}")
    work.mkdir()
    where = _HERE / module.name
    environment = {**os.environ, "GOFLAGS": "-mod=readonly -buildvcs=false -trimpath"}
    try:
        subprocess.run(
            ["go", "build", "-tags", module.tags, "-ldflags", module.flags, "-o", f"{work}/", *module.packages],
            cwd=where,
            env=environment,
            check=True,
        )
        if module.name == "istio":
            found = subprocess.run(
                ["go", "list", "-f", "{{.Module.Dir}}", *module.packages],
                cwd=where,
                env=environment,
                check=True,
                capture_output=True,
                text=True,
            )
            shutil.copyfile(
                Path(found.stdout.strip()) / "manifests/charts/base/files/crd-all.gen.yaml", work / "crds.yaml"
            )
        work.rename(target)
    except subprocess.CalledProcessError as failed:
        raise ToolsMissing(f"{module.name}: the build failed with exit code {failed.returncode}") from failed
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    try:
        build()
    except ToolsMissing as missing:
        sys.exit(f"the tools cannot be built: {missing}")
