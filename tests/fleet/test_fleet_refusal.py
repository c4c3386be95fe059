"""What Envoy refuses concerns its author only (design D15)."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mgmt.translate.check.regex import regex_problem
from tests.fleet import fleet_manifests as m
from tests.fleet.fleet_harness import GATEWAY, Fleet, running_fleet
from tests.fleet.fleet_network import until
from tests.fleet.fleet_processes import command

_TABLES = 12
_CULPRIT = "networking.gloo.solo.io/RouteTable/mgmt/shop/culprit"
_BROKEN = "/broken/(unclosed"


def _write_tables(fleet: Fleet, edit: int) -> None:
    for number in range(_TABLES):
        fleet.write("mgmt", f"t{number}.yaml", m.table(f"t{number}", [m.says("/who", f"t{number} edit {edit}")]))


@pytest.mark.fleet
@pytest.mark.envoy
@pytest.mark.redis
async def test_all_but_the_culprit_are_live_and_its_author_reads_envoys_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blind = "mgmt.translate.routing.matchers.regex_problem"
    monkeypatch.setattr(blind, lambda text: None if text == _BROKEN else regex_problem(text))
    async with running_fleet(tmp_path, "east") as fleet:
        fleet.write_world()
        culprit = [m.says("/fine", "before"), m.says("/other", "the culprit's other route")]
        fleet.write("mgmt", "culprit.yaml", m.table("culprit", culprit))
        _write_tables(fleet, 0)
        server = await fleet.start_server()
        agent = await fleet.start_agent("east", server.relay.port)
        fleet.start_envoy(agent)
        await fleet.answers("east", "/fine", "before", host="culprit.example")
        broken = m.says("/fine", "after") | {"matchers": [{"uri": {"regex": _BROKEN}}]}
        began = time.monotonic()
        fleet.write("mgmt", "culprit.yaml", m.table("culprit", [broken, culprit[1]]))
        _write_tables(fleet, 1)
        for number in range(_TABLES):
            await fleet.answers("east", "/who", f"t{number} edit 1", host=f"t{number}.example")
        assert time.monotonic() - began < 2
        assert (await fleet.get("east", "/fine", "culprit.example")).text == "before"

        def refused() -> str:
            exceptions = server.publisher.arrivals.gateways["east", GATEWAY].exceptions
            found = [e for e in exceptions if e.contribution == _CULPRIT]
            return found[0].message if found else ""

        words = await until(refused, why="the server hears of the refusal")
        assert "missing ): /broken" in words
        others = server.publisher.arrivals.gateways["east", GATEWAY].exceptions
        assert {e.contribution for e in others} == {_CULPRIT}
        contexts = tmp_path / "contexts.yaml"
        m.write_text(contexts, f"current: f\ncontexts: {{f: {{server: 'http://127.0.0.1:{server.admin_port}'}}}}\n")
        flags = ("--config", str(contexts))
        code, said = await command("wait", "routetable", "shop/culprit", "--timeout", "2s", *flags)
        assert code != 0
        assert "missing ): /broken" in said, said
        code, said = await command("wait", "routetable", "shop/t0", "--timeout", "20s", *flags)
        assert code == 0, said
        fleet.write("mgmt", "culprit.yaml", m.table("culprit", [m.says("/fine", "mended"), culprit[1]]))
        await fleet.answers("east", "/fine", "mended", host="culprit.example")
        await until(lambda: not refused(), why="the refusal is forgotten")
