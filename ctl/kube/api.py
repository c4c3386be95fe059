"""An API server for one command, and its refusals in the words and exit codes of the command line (cli.md §1.5)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from ctl.contexts import Context, usual_kubeconfig
from ctl.exits import Code, Failed
from ctl.flags import current
from fingerpost.cluster.kubernetes import answers
from fingerpost.cluster.kubernetes.api import APPLY, Api, ApiFailed, connected
from fingerpost.cluster.kubernetes.kubeconfig import KubeconfigWrong, usable
from fingerpost.cluster.protocol import ClusterFailed

Object = dict[str, Any]
MANAGER = "fingerpost-cli"
_JSON = "application/json"
NAMES_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"  # what a list is asked for


class Place(NamedTuple):
    """`kubeconfig` empty: the usual files; `context` empty: the current one."""

    kubeconfig: str = ""
    context: str = ""
    in_pod: bool = False
    remote: bool = False

    @classmethod
    def of(cls, context: Context) -> Place:
        return cls(context.kubeconfig, context.kubecontext, context.in_pod)

    @classmethod
    def of_workload(cls, kubeconfig: str, context: str, management: Place) -> Place:
        """As `--remote-kubeconfig` and `--remote-context` name it: without a file, that of the management cluster."""
        return cls(kubeconfig or management.kubeconfig, context, remote=True)

    @property
    def file(self) -> Path | None:
        """None: the pod's service account."""
        return None if self.in_pod else Path(self.kubeconfig or usual_kubeconfig())

    def named_by(self, *, of_context: bool) -> str:
        """Where the file, or the context of it, was named: that is what a person can change."""
        flags = current()
        if self.remote:
            return "--remote-context" if of_context else "--remote-kubeconfig"
        if of_context and self.context:
            return "--kubecontext" if flags.kubecontext else "--context" if flags.context else "the contexts file"
        if flags.kubeconfig:
            return "--kubeconfig"
        if self.kubeconfig not in ("", usual_kubeconfig()):
            return "the contexts file"
        return "KUBECONFIG" if os.environ.get("KUBECONFIG") else ""

    def __str__(self) -> str:
        if self.in_pod and not self.context:
            return "the pod's cluster"
        try:
            return f"context {self.context or usable(str(self.file))[1]}"
        except KubeconfigWrong:
            return str(self.file)


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Kube]:
    """Raises Failed, also for what goes wrong inside."""
    with _spoken(place):
        async with connected(place.file, place.context) as api:
            yield Kube(api, place)


@contextmanager
def _spoken(place: Place) -> Iterator[None]:
    try:
        yield
    except ApiFailed as failed:
        raise _failed(failed, "--kubecontext or --remote-context" if place.remote else "--kubecontext") from failed
    except KubeconfigWrong as wrong:
        flag = place.named_by(of_context=wrong.of_context)
        message = f"{flag}: {wrong.why}" if flag else wrong.why
        more = ", or another with --kubeconfig" if flag == "KUBECONFIG" else ""
        raise Failed(Code.USAGE, message, f"{wrong.remedy}{more}", "Kubeconfig") from wrong
    except ClusterFailed as failed:
        raise Failed(Code.USAGE, str(failed), "name one with --kubeconfig and --kubecontext", "Kubeconfig") from failed


def _failed(failed: ApiFailed, flag: str) -> Failed:
    message = str(failed)
    if failed.status == 403:
        return Failed(Code.FORBIDDEN, message, f"have this right granted, or use another {flag}", "Forbidden")
    if failed.status == 401:
        hint = "the credentials of the kubeconfig are not accepted; renew them"
        return Failed(Code.FORBIDDEN, message, hint, "Unauthorized")
    if failed.status in (0, 429) or failed.status >= 500:
        hint = f"is it the right {flag}, and is the cluster up?"
        return Failed(Code.UNREACHABLE, message, hint, "ClusterUnreachable")
    if failed.status == 400 and "HTTPS server" in message:
        return Failed(
            Code.USAGE, message, "write https:// for the server of this cluster in the kubeconfig", "Kubeconfig"
        )
    return Failed(Code.FINDINGS, message, "", failed.reason or "ApiFailed")


class Kube:
    """Objects by path. Every method raises ApiFailed."""

    def __init__(self, api: Api, place: Place) -> None:
        self.api, self.place = api, place

    async def get(self, path: str, query: Mapping[str, str] | None = None, accept: str = _JSON) -> Object:
        return await self.api.get(path, answers.mapping, query, accept)

    async def find(self, path: str, query: Mapping[str, str] | None = None, accept: str = _JSON) -> Object | None:
        """None when there is none, or no such kind."""
        try:
            return await self.get(path, query, accept)
        except ApiFailed as failed:
            if failed.status == 404:
                return None
            raise

    async def items(self, path: str, query: Mapping[str, str] | None = None, accept: str = _JSON) -> Sequence[Object]:
        """Empty where there is no such kind."""
        try:
            page = await self.api.get(path, answers.page, query, accept)
            return tuple(answers.mapping(item) for item in page.items or ())
        except ApiFailed as failed:
            if failed.status == 404:
                return ()
            raise

    async def apply(self, path: str, obj: Object) -> Object:
        """Server-side; takes over the fields that it names."""
        return await self.api.patch(path, obj, APPLY, answers.mapping, {"fieldManager": MANAGER, "force": "true"})

    async def make_namespace(self, name: str) -> bool:
        """False when it was there."""
        path = f"/api/v1/namespaces/{name}"
        if await self.find(path) is not None:
            return False
        await self.apply(path, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return True

    async def delete(self, path: str) -> bool:
        """False when there was none."""
        try:
            await self.api.delete(path)
        except ApiFailed as failed:
            if failed.status == 404:
                return False
            raise
        return True
