"""Objects that an API server took before it knew our rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fingerpost.api.kinds import BY_TYPE
from fingerpost.crd.definition import definition
from fingerpost.objects import type_of
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_network import until
from tests.kube.kube_client import KubeClient, open_crd
from tests.kube.kube_fleet import running_kube_fleet
from tests.unit.crd.refusals import Refusal, state_of, stored_refusals, words_of


async def _taken(kube: KubeClient, obj: m.Object, *, dry: bool = False) -> bool:
    """Whether the API server takes it now; a changed CRD is in force a moment later."""
    known = BY_TYPE[type_of(obj["apiVersion"], obj["kind"])]
    path = f"/apis/{obj['apiVersion']}/namespaces/shop/{known.plural}/{obj['metadata']['name']}"
    query = {"fieldManager": "kubectl", "force": "true"} | ({"dryRun": "All"} if dry else {})
    answer = await kube.http.patch(
        path, params=query, headers={"Content-Type": "application/apply-patch+yaml"}, json=obj
    )
    return answer.is_success


@pytest.mark.spec("M-68")
async def test_what_predates_a_rule_is_invalid_with_its_text_and_stops_nothing(tmp_path: Path) -> None:
    old = stored_refusals()
    kinds = {type_: BY_TYPE[type_] for r in old if (type_ := type_of(r.manifest["apiVersion"], r.manifest["kind"]))}
    assert len(old) > 20
    assert len(kinds) >= 5
    async with running_kube_fleet(tmp_path, "east") as fleet:
        kube = fleet.kubes["east"]
        await kube.apply(*(open_crd(k.kind, k.plural, k.group) for k in kinds.values()))
        for one in old:
            await until(lambda one=one: _taken(kube, one.manifest), why=f"{one.manifest} is stored without rules")
        await kube.apply(*(definition(kind) for kind in kinds.values()))
        for one in old:
            await until(lambda one=one: _refused(kube, one.manifest), why=f"{one.manifest} would be refused now")
        await fleet.apply_world()
        await fleet.backend("east")
        await kube.apply(m.table("good", [m.says("/hi", "good")]))

        server = await fleet.start_server()
        agent = await fleet.start_agent("east", server.relay.port)
        fleet.start_envoy(agent)
        await fleet.answers("east", "/cart", "east 0")
        await fleet.answers("east", "/hi", "good", host="good.example")
        for one in old:
            await until(lambda one=one: _is_invalid(kube, one), why=f"{one} in {await kube.get(one.manifest)}")


async def _refused(kube: KubeClient, obj: m.Object) -> bool:
    """A new one: what is there already may stay as it is, by the API server's ratcheting."""
    new = obj | {"metadata": obj["metadata"] | {"name": f"new-{obj['metadata']['name']}"}}
    return not await _taken(kube, new, dry=True)


async def _is_invalid(kube: KubeClient, one: Refusal) -> bool:
    found: Any = await kube.get(one.manifest)
    approval, message = state_of(found)
    return approval == "INVALID" and any(words in message for words in words_of(one))
