"""While the server itself is busy its loop stands still, and gRPC's own threads go on."""

from __future__ import annotations

import asyncio
import sys
import time

from cryptography import x509
from msgspec.structs import replace

from fingerpost.relay.reasons import LinkLost, Reason, Refused
from fingerpost.relay.v1 import relay_pb2 as pb
from mgmt.relay import identity
from mgmt.relay.server import serve
from tests.unit.relay.raw_peer import PUSH, raw_peer
from tests.unit.relay.support import FAST, FakeIngest, FakePublisher, until

_PEER = """
import asyncio, sys
from tests.unit.relay.raw_peer import PULL, raw_peer

async def main():
    async with raw_peer(int(sys.argv[1])) as peer:
        await peer.greeted(PULL)

asyncio.run(main())
"""


class _Busy(identity.Plaintext):
    """Computes until its peer has died, and refuses it."""

    peer: asyncio.subprocess.Process

    async def admit(self, caller: identity.Caller, cluster: str) -> x509.Certificate | None:
        self.peer.kill()
        time.sleep(0.5)  # noqa: ASYNC251 - the loop stands still, and gRPC's own threads learn of the end
        raise Refused(Reason.DUPLICATE, "not you")


async def test_a_stream_is_told_of_as_ended_also_when_the_server_writes_before_it_reads_the_end() -> None:
    lost: list[tuple[str, str]] = []

    def observe(why: LinkLost, cluster: str, _peer: str) -> None:
        lost.append((cluster, why.message))

    door = _Busy()
    async with serve(FakeIngest(), FakePublisher(), settings=FAST, observe=observe, door=door) as relay:
        door.peer = await asyncio.create_subprocess_exec(sys.executable, "-c", _PEER, str(relay.port))
        await until(lambda: lost)
        await door.peer.wait()
    assert lost == [("", "not you")]


async def test_a_hello_that_came_while_the_server_was_busy_counts() -> None:
    settings = replace(FAST, hello_timeout=0.3)
    async with serve(FakeIngest(), FakePublisher(), settings=settings) as relay, raw_peer(relay.port) as peer:
        call = peer.open(PUSH)
        await until(lambda: relay.queues["streams"])
        await call.write(pb.PushRequest(hello=peer.hello()).SerializeToString())
        time.sleep(2 * settings.hello_timeout)  # noqa: ASYNC251 - the busy time
        assert pb.PushResponse.FromString(await call.read()).WhichOneof("body") == "hello_ack"
