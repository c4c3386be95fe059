"""Did it arrive (design D9): an Envoy that stands still is named, with the moment since when."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from tests.fleet.fleet_harness import running_fleet
from tests.fleet.fleet_manifests import write_text
from tests.fleet.fleet_network import until
from tests.fleet.fleet_processes import command


@pytest.mark.fleet
@pytest.mark.envoy
@pytest.mark.redis
async def test_wait_ends_with_4_and_names_the_envoy_that_stands_still(tmp_path: Path) -> None:
    async with running_fleet(tmp_path) as fleet:
        fleet.write_world()
        server = await fleet.start_server()
        contexts = tmp_path / "contexts.yaml"
        write_text(
            contexts, f"current: fleet\ncontexts: {{fleet: {{server: 'http://127.0.0.1:{server.admin_port}'}}}}\n"
        )
        proxies = {c: fleet.start_envoy(await fleet.start_agent(c, server.relay.port)) for c in fleet.clusters}
        for cluster in fleet.clusters:
            await fleet.answers(cluster, "/hi", "hi")
        order = ("wait", "routetable", "shop/www", "--for", "applied", "--config", str(contexts), "--timeout")
        code, said = await command(*order, "20s")
        assert (code, "2/2 gateways" in said) == (0, True), said
        proxies["west"].signal(signal.SIGSTOP)
        stopped = time.time_ns()
        fleet.write_www("/basket")
        await until(lambda: "/basket" in str(server.translator.inputs["networking.gloo.solo.io/RouteTable"].items))
        code, said = await command(*order, "3s")
        assert code == 4, said
        assert "1/2 gateways" in said, said
        assert re.search(r"west/gw/ingress.*\b\d+s\b.*proxy gw/ingress/gw-0 has not acknowledged", said), said
        assert "east/gw/ingress" not in said
        state = server.publisher.arrivals.gateways["west", "gw/ingress"]
        assert stopped <= state.lagging_since_unix_nanos <= time.time_ns()
        proxies["west"].signal(signal.SIGCONT)
        code, said = await command(*order, "20s")
        assert (code, "2/2 gateways" in said) == (0, True), said
