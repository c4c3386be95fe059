"""The gateways to which rollbacks do not let an object's newest version come, or did not until they were released."""

from __future__ import annotations

from dataclasses import replace

from fingerpost.objects import ObjectKey
from fingerpost.relay.objects import CLUSTER_SCOPE
from mgmt.admin.ports import Plane
from mgmt.admin.reach import SERVED, Reach
from mgmt.changes.passage import Passage
from mgmt.pins.rollback import RECORDED, Overlay, Rollback
from mgmt.translate.scopes import GatewayKey


class HeldBack:
    """Made anew for each question, as `Reach`, which is that of the objects of now."""

    def __init__(self, plane: Plane, reach: Reach) -> None:
        self._plane, self._reach = plane, reach
        self._releases = plane.journal.releases()
        active = plane.outputs.rollbacks if plane.outputs else {}
        self._clusters = plane.translator.owners.all_clusters(plane.translator.peek()) if active else ()
        self._older: dict[int, Reach] = {}  # of other translators

    def back(self, key: ObjectKey) -> dict[GatewayKey, str]:
        """Where an older version is in force, and why."""
        outputs = self._plane.outputs
        if outputs is None or not outputs.rollbacks:
            return {}
        out: dict[GatewayKey, str] = {}
        body = self._plane.translator.inputs.body(key)
        for cluster in self._clusters:
            if (by := outputs.held(key, body, cluster)) is not None:
                out |= dict.fromkeys(self._concerned(key, cluster), f"RolledBack: {by}")
        return out

    def all_along(self, key: ObjectKey, cluster: str, seq: int) -> bool:
        """Whether what is active now kept it from `cluster` already when `seq` went out."""
        if (outputs := self._plane.outputs) is None:
            return False
        body = self._plane.translator.inputs.body(key)
        then = Overlay([one for one in outputs.over(key) if one.concerns(cluster) and int(one.id) < seq])
        return then.body(key, body) != body

    def until_then(self, key: ObjectKey, passage: Passage) -> dict[GatewayKey, tuple[Passage, Rollback]]:
        """Gateways that were told of the passage's change when a rollback ended: in which turn, and after which."""
        out: dict[GatewayKey, tuple[Passage, Rollback]] = {}
        if key.type not in RECORDED:
            return out
        serving = self._reach.gateways(key) if key.type in SERVED else frozenset()
        for release in self._releases:
            if release.seq <= passage.seq:
                break
            for gateway in release.gateways.keys() - passage.gateways.keys() - out.keys():
                by = next((r for r in release.released if r.covers(key) and r.concerns(gateway[0])), None)
                if by is None or (serving and gateway not in serving):
                    continue
                if not self.all_along(key, gateway[0], release.seq):  # it was told of what another one let through
                    out[gateway] = release, by
        return out

    def _concerned(self, key: ObjectKey, cluster: str) -> set[GatewayKey]:
        """Those that serve it now or would by what is in force. Of what gateways do not serve: all of the cluster."""
        if key.type not in SERVED:
            return {(cluster, name) for name in self._plane.publisher.scopes(cluster) if name != CLUSTER_SCOPE}
        found = self._reach.gateways(key) | self._older_reach(cluster).gateways(key)
        return {gateway for gateway in found if gateway[0] == cluster}

    def _older_reach(self, cluster: str) -> Reach:
        assert self._plane.outputs is not None  # noqa: S101 - the caller has asked it
        translator = self._plane.outputs.in_force(cluster)
        if id(translator) not in self._older:
            self._older[id(translator)] = Reach(replace(self._plane, translator=translator))
        return self._older[id(translator)]
