"""Not a test: one splice to N pull clients of a second process, until the last Ack is back.

`python -m tests.unit.relay.fan_out [N EDITS]`
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import sys
import time

import uvloop

from fingerpost.relay.pieces import PieceList
from fingerpost.relay.settings import RelaySettings
from fingerpost.relay.v1 import relay_pb2 as pb
from mgmt.relay.pull import PullSession
from mgmt.relay.server import serve
from tests.unit.relay.support import ROUTES, Agent, FakeIngest, FakePublisher, body_piece, running, until

SETTINGS = RelaySettings()
PIECES = 2_000


async def clients(port: int, count: int) -> None:
    agents = [Agent(f"127.0.0.1:{port}", f"c{i}", SETTINGS) for i in range(count)]
    async with running(*agents):
        await until(lambda: all(a.versions for a in agents), 60)
        gc.collect()
        gc.freeze()
        await asyncio.Event().wait()


async def measure(count: int, edits: int) -> None:
    publisher, left, done = FakePublisher(), count, asyncio.Event()
    pieces = [body_piece(f"route {i} " + "x" * 200, f"c{i}") for i in range(PIECES)]
    publisher.publish("shop/gw", {ROUTES: PieceList(pieces)})
    original = PullSession._ack

    def ack(self: PullSession, message: pb.Ack) -> None:
        nonlocal left
        original(self, message)
        if self._acked == self._seq:
            left -= 1
            if left <= 0:
                done.set()

    PullSession._ack = ack  # type: ignore[method-assign]  # only to see the last Ack
    async with serve(FakeIngest(), publisher, settings=SETTINGS) as relay:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.unit.relay.fan_out", "clients", str(relay.port), str(count)
        )
        try:
            await done.wait()
            gc.collect()
            gc.freeze()
            took, cpu = [], []
            for i in range(edits):
                left = count
                done.clear()
                pieces[i * 7 % PIECES] = body_piece(f"route {i} edited" + "y" * 2_000, f"c{i}")
                began, used = time.perf_counter(), time.process_time()
                publisher.edit("shop/gw", ROUTES, pieces)
                await done.wait()
                took.append((time.perf_counter() - began) * 1000)
                cpu.append((time.process_time() - used) * 1000)
                await asyncio.sleep(0.05)
        finally:
            child.kill()
            await child.wait()
    took.sort()
    figures = {"p50_ms": statistics.median(took), "p99_ms": took[len(took) * 99 // 100], "max_ms": took[-1]}
    figures["server_cpu_ms"] = statistics.median(cpu)
    print(
        json.dumps({"bench": "fan_out", "agents": count, "edits": edits} | {k: round(v, 2) for k, v in figures.items()})
    )


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if sys.argv[1:2] == ["clients"]:
        uvloop.run(clients(int(sys.argv[2]), int(sys.argv[3])))
    else:
        uvloop.run(measure(*(int(a) for a in (sys.argv[1:] or ["100", "100"]))))
