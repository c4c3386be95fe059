"""Helm, by its command: releases of one namespace of one cluster."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ctl.exits import Code, Failed
from ctl.flags import current
from ctl.kube.api import NAMES_ONLY, Kube, Object
from ctl.output import note

_ALIVE = ("--deployed", "--failed", "--pending")  # of Helm 3 without them only the first
_KIND = re.compile(r"^kind: (\S+)$", re.MULTILINE)


class Values(NamedTuple):
    """Later ones win: `own`, then `files`, then `sets` (`--set` as Helm has it)."""

    own: Mapping[str, Any] = {}
    files: Sequence[str] = ()
    sets: Sequence[str] = ()

    @property
    def flags(self) -> list[str]:
        return [*("-f", "-"), *(f"--values={f}" for f in self.files), *(f"--set={s}" for s in self.sets)]


class Release(NamedTuple):
    status: str
    manifest: str
    values: Mapping[str, Any]
    notes: str

    @classmethod
    def read(cls, text: str) -> Release:
        found = json.loads(text)
        info = found["info"]
        manifest = found.get("manifest", "").strip()  # Helm leaves out what is empty
        return cls(info["status"], manifest, found.get("config") or {}, info.get("notes", ""))

    @property
    def pending(self) -> bool:
        return self.status.startswith("pending")

    @property
    def warnings(self) -> list[str]:
        return [line.removeprefix("WARNING: ") for line in self.notes.splitlines() if line.startswith("WARNING: ")]


class HelmFailed(Failed):
    """`said`: Helm's own words."""

    def __init__(self, command: Sequence[str], said: str) -> None:
        self.said = said
        hint = "correct what Helm names; -v shows its command"
        super().__init__(Code.FINDINGS, f"helm {' '.join(command[1:3])}: {said}", hint, "Helm")


class Helm:
    """Every method raises Failed: when there is no Helm, and with Helm's own words."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube, self._namespace = kube, namespace
        self._program = program()

    async def find(self, name: str) -> Release | None:
        where = f"/api/v1/namespaces/{self._namespace}/secrets"
        if not await self._kube.items(where, {"labelSelector": f"owner=helm,name={name}", "limit": "1"}):
            return None
        return Release.read(await self._run("status", name, "-o", "json"))

    async def standing(self, name: str) -> Release | None:
        """The revision that Helm goes on from: the last that was deployed, whatever has failed since."""
        where = f"/api/v1/namespaces/{self._namespace}/secrets"
        selector = f"owner=helm,name={name},status=deployed"
        found = await self._kube.items(where, {"labelSelector": selector}, NAMES_ONLY)
        if not found:
            return await self.find(name)
        revision = max(int(secret["metadata"]["labels"]["version"]) for secret in found)
        return Release.read(await self._run("status", name, "-o", "json", f"--revision={revision}"))

    async def releases(self) -> Mapping[str, str]:
        """Of the namespace: name and chart, with its version, of all that are there."""
        return {one["name"]: one["chart"] for one in json.loads(await self._run("list", *_ALIVE, "-o", "json"))}

    async def install(self, name: str, chart: Path, values: Values) -> tuple[Release, bool]:
        """Or upgrade. (the release, whether anything had to be done): what is as it should be is left alone."""
        there = await self.find(name)
        if there is not None and there.pending:
            await self._give_up(name)
        elif there is not None and there.status == "deployed":
            wanted = Release.read(await self._upgrade(name, chart, values, "--dry-run=client"))
            same = (wanted.manifest, wanted.values) == (there.manifest, there.values)
            if same and not await self._lacks(there):
                return there, False
        return Release.read(await self._upgrade(name, chart, values)), True

    @staticmethod
    async def manifests(name: str, chart: Path, namespace: str, values: Values) -> str:
        """Nothing is asked of a cluster."""
        command = [program(), "template", name, str(chart), "-n", namespace, *values.flags]
        return await _output(command, json.dumps(values.own))

    async def uninstall(self, name: str) -> bool:
        """False when there is none."""
        if await self.find(name) is None:
            return False
        await self._run("uninstall", name)
        return True

    async def _upgrade(self, name: str, chart: Path, values: Values, *more: str) -> str:
        command = ("upgrade", "--install", name, str(chart), "-o", "json", *values.flags, *more)
        return await self._run(*command, given=json.dumps(values.own))

    async def _give_up(self, name: str) -> None:
        """An install that was broken off is in the way of the next; its objects are taken over by that."""
        note(f"warning: an earlier install of {name} was broken off; going on from what it left")
        where = f"/api/v1/namespaces/{self._namespace}/secrets"
        for state in ("pending-install", "pending-upgrade", "pending-rollback"):
            found = await self._kube.items(where, {"labelSelector": f"owner=helm,name={name},status={state}"})
            for secret in found:
                await self._kube.delete(f"{where}/{secret['metadata']['name']}")

    async def _lacks(self, release: Release) -> bool:
        """Whether somebody has taken away Deployments or kinds of the release."""
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        paths = {
            "Deployment": f"/apis/apps/v1/namespaces/{self._namespace}/deployments",
            "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        }
        wanted: dict[str, set[str]] = {}
        for text in release.manifest.split("\n---\n"):
            kind = _KIND.search(text)
            if kind and kind[1] in paths:
                found: Object = yaml.load(text, Loader=loader)  # noqa: S506  (safe loaders both)
                wanted.setdefault(kind[1], set()).add(found["metadata"]["name"])
        for kind_, names in wanted.items():
            there = {obj["metadata"]["name"] for obj in await self._kube.items(paths[kind_])}
            if names - there:
                return True
        return False

    async def _run(self, *arguments: str, given: str = "") -> str:
        place = self._kube.place
        command = [self._program, *arguments, "-n", self._namespace]
        command += [f"--kube-context={place.context}"] if place.context else []
        # not as a flag, which takes one file only; and a variable of Helm's own must not lead to another cluster
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("HELM_KUBE", "HELM_NAMESPACE"))}
        if place.file:
            environment["KUBECONFIG"] = str(place.file)
        return await _output(command, given, environment)


def program() -> str:
    """Raises Failed when Helm is not there."""
    found = shutil.which("helm")
    if found is None:
        message = "helm is not on the PATH, and charts are installed by it"
        raise Failed(Code.USAGE, message, "install Helm 3.14 or newer, or do as docs/install.md shows", "NoHelm")
    return found


async def _output(command: Sequence[str], given: str, environment: Mapping[str, str] | None = None) -> str:
    """Values go in by stdin: they may hold secrets, and a command line is seen by all users of a machine."""
    if current().verbose:
        note(" ".join(command))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
    try:
        out, err = await process.communicate(given.encode())
    finally:
        if process.returncode is None:
            process.terminate()
    if process.returncode:
        raise HelmFailed(command, err.decode(errors="replace").strip().removeprefix("Error: "))
    return out.decode()
