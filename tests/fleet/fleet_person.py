"""Who types commands at a running fleet."""

from __future__ import annotations

import json
from typing import Any

from mgmt.app import Server
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import Fleet
from tests.fleet.fleet_processes import command


class Person:
    """Who types commands."""

    def __init__(self, fleet: Fleet, *servers: Server) -> None:
        self._contexts = fleet.root / "contexts.yaml"
        addresses = [f"http://127.0.0.1:{server.admin_port}" for server in servers]
        m.write_text(self._contexts, f"current: f\ncontexts: {{f: {{servers: {addresses}}}}}\n")

    async def says(self, *words: str) -> tuple[int, str]:
        return await command(*words, "--config", str(self._contexts))

    async def completes(self, *words: str) -> list[str]:
        return (await command("__complete", "--", "--config", str(self._contexts), *words))[1].split()

    async def asks(self, *words: str) -> Any:
        code, said = await self.says(*words, "-o", "json", "-q")
        assert code == 0, said
        return json.loads(said)

    async def shows_routes(self, first: int, second: int, third: int) -> None:
        """Of snapshots in which /cart became /basket, and another table came."""
        found = (await self.asks("history", "diff", str(first), str(second), "--routes"))["spec"]
        moved = [("add", f"ANY {m.HOST}/basket*"), ("remove", f"ANY {m.HOST}/cart*")]
        assert [(r["change"], r["request"]) for r in found["requests"]] == moved
        assert [(r["change"], r["host"]) for r in found["routes"]] == [("change", m.HOST)]
        back = (await self.asks("history", "diff", str(third), str(first), "--routes"))["spec"]
        gone = [(o["change"], o["name"]) for o in back["objects"]]
        assert gone == [("remove", "new"), ("change", "www")]
        assert len((await self.asks("history", "diff", str(first), "--routes"))["spec"]["routes"]) == 2
        assert (await self.says("history", "diff", str(third), "--routes"))[1].startswith("no difference")

    async def picks_snapshots(self, listed: list[Any]) -> None:
        """Of a world in which all that users write is in one cluster."""
        assert (await self.asks("history", "--limit", "2"))["items"] == listed[:2]
        assert (await self.asks("history", "--limit", "2", "rt", "shop/new"))["items"][1:] == []
        assert (await self.asks("history", "--cluster", "mgmt", "--limit", "1"))["items"] == listed[:1]
        found = (await self.asks("history", "--cluster", "east"))["items"]
        assert {c["cluster"] for item in found for c in item["changes"]} <= {"east"}
        assert (await self.says("history", "rt", "shop/nope"))[0] == 1
        assert (await self.says("history", "rt", "--cluster", "nowhere"))[0] == 2

    async def newest(self) -> int:
        return int((await self.asks("history"))["items"][0]["number"])

    async def status(self, name: str) -> Any:
        return (await self.asks("get", "routetable", name))["items"][0]["status"]


async def started(fleet: Fleet) -> tuple[Server, Person]:
    server = await fleet.start_server()
    for cluster in fleet.clusters:
        await fleet.backend(cluster)
        fleet.start_envoy(await fleet.start_agent(cluster, server.relay.port))
    for cluster in fleet.clusters:
        await fleet.answers(cluster, "/cart", f"{cluster} 0")
    return server, Person(fleet, server)
