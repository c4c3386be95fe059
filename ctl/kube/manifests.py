"""`cluster register --print-manifests`: both halves of a registration as YAML, for a repository. Nothing is written.

Neither half needs the kubeconfig of the other: the management cluster is read, the workload cluster not even that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ctl.kube.api import Object
from ctl.kube.charts import CRDS, PLATFORM, chart
from ctl.kube.helm import Values
from ctl.kube.plane import Plane
from ctl.kube.registration import ROOT, TOKEN, Wish
from ctl.kube.rendering import check_agent, rendered
from ctl.output import as_yaml
from fingerpost.api.admin.kubernetes_cluster import CLUSTER_UID

SIDES = ("mgmt", "agent")


class Halves(NamedTuple):
    """`texts` by side, each to be applied to its own cluster; `notes`: what is still to be done by a person."""

    texts: Mapping[str, str]
    notes: tuple[str, ...]


async def halves(
    plane: Plane, wish: Wish, sides: tuple[str, ...], *, secrets: bool, uid: str, say: Callable[[str], None]
) -> Halves:
    """`uid`: of the rebuilt cluster, else empty. `say` tells what takes its time. Raises Failed, ApiFailed."""
    texts: dict[str, str] = {}
    notes: list[str] = []
    if "mgmt" in sides:
        about = f"for the management cluster: cluster {wish.name}"
        texts["mgmt"] = _joined(about, [as_yaml(wish.cluster(plane, {CLUSTER_UID: uid} if uid else {}))])
    if "agent" in sides:
        address = wish.address or await plane.relay_address(wish.timeout)
        say(f"relay server {address}")
        parts = [as_yaml({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": wish.namespace}})]
        parts += [as_yaml(one) for one in await _trust(plane, wish, notes, secrets=secrets)]
        values = wish.values(plane, address)
        for name, path, given in (
            (CRDS, chart(CRDS, wish.crds_chart), Values()),
            (PLATFORM, chart(PLATFORM, wish.chart), values),
        ):
            made = await rendered(name, path, wish.namespace, given)
            if name == PLATFORM:
                check_agent(made, wish.name)
            parts.append(made.strip().removeprefix("---\n"))
        texts["agent"] = _joined(f"for the workload cluster {wish.name}: apply it with --server-side", parts, notes)
    return Halves(texts, tuple(notes))


async def _trust(plane: Plane, wish: Wish, notes: list[str], *, secrets: bool) -> list[Object]:
    """Roots are certificates, which everybody may see; a token is not."""
    if plane.insecure:
        notes.append("the relay is in plaintext (insecure), so there is nothing to trust")
        return []
    out = [wish.secret(ROOT, "ca.crt", await plane.root())]
    if not plane.wants_token:
        notes.append("this server issues no certificates: bring relay-client-tls-secret, as docs/certificates.md shows")
    elif secrets:
        out.append(wish.secret(TOKEN, "token", await plane.token()))
        notes.append(f"Secret {TOKEN} is a password: do not keep it in a repository; delete it when the agent is in")
    else:
        notes += _by_hand(plane, wish)
    return out


def _by_hand(plane: Plane, wish: Wish) -> list[str]:
    name, key = plane.token_secret
    path = key.replace(".", r"\.")
    hub = f" --context {plane.kube.place.context}" if plane.kube.place.context else ""
    read = f"kubectl{hub} -n {plane.admin_namespace} get secret {name} -o jsonpath='{{.data.{path}}}' | base64 -d"
    write = f"kubectl -n {wish.namespace} create secret generic {TOKEN} --from-file=token=/dev/stdin"
    return [
        f"the bootstrap token is left out, and the agent waits for it. Once, with CTX for {wish.name}:",
        f"  {read} | {write} --context CTX",
        f"  (or print it too: --include-secrets). When the agent is in, delete Secret {TOKEN} there",
    ]


def _joined(about: str, parts: list[str], notes: list[str] | None = None) -> str:
    head = "\n".join(f"# {line}" for line in (about, *(notes or ())))
    return "\n---\n".join([head, *parts])
