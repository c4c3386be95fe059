"""Nobody gets desired state before it is known whose it is (relay.md §4.3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fingerpost.relay.pieces import PieceList
from fingerpost.relay.reasons import Reason, Refused
from fingerpost.relay.v1 import relay_pb2 as pb
from mgmt.relay.server import serve
from tests.unit.relay.support import FAST, ROUTES, Agent, FakeIngest, FakePublisher, body_piece, running, until


class Doubtful(FakeIngest):
    """Does not know who reads until it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []
        self.ends: list[Callable[[Reason, str], None]] = []
        self.sure = asyncio.Event()
        self.no: Refused | None = None

    async def admit(
        self, cluster: str, cluster_uid: str, peer: str, end: Callable[[Reason, str], None]
    ) -> Callable[[], None]:
        self.asked.append((cluster, cluster_uid))
        await self.sure.wait()
        if self.no is not None:
            raise self.no
        self.ends.append(end)
        return lambda: self.ends.remove(end)


async def test_who_is_not_known_yet_waits_and_gets_nothing() -> None:
    ingest, publisher = Doubtful(), FakePublisher()
    publisher.publish("", {ROUTES: PieceList([body_piece("secret")])})
    async with serve(ingest, publisher, settings=FAST) as relay:
        agent = Agent(f"127.0.0.1:{relay.port}")
        agent.push.complete(["core/Service"])
        async with running(agent):
            await until(lambda: ingest.asked)
            await until(lambda: ingest.sessions, 5)
            assert (agent.pull.connected, agent.desired.config_version, agent.versions) == (False, 0, [])
            assert not publisher.wakes, "nothing is subscribed to"
            ingest.sure.set()
            await until(lambda: agent.has(publisher))
            ingest.ends[0](Reason.NOT_REGISTERED, "KubernetesCluster east was deleted")
            await until(lambda: any(loss.reason is Reason.NOT_REGISTERED for loss in agent.losses))
        await until(lambda: not ingest.ends)


async def test_who_is_refused_is_told_why() -> None:
    ingest, publisher = Doubtful(), FakePublisher()
    ingest.no = Refused(Reason.DUPLICATE, "another cluster")
    ingest.sure.set()
    async with serve(ingest, publisher, settings=FAST) as relay:
        agent = Agent(f"127.0.0.1:{relay.port}")
        async with running(agent):
            await until(lambda: any(loss.reason is Reason.DUPLICATE for loss in agent.losses))
            assert (agent.pull.connected, agent.desired.config_version) == (False, 0)


async def test_a_reader_that_does_not_wait_for_its_welcome_is_refused() -> None:
    ingest, publisher = Doubtful(), FakePublisher()
    async with serve(ingest, publisher, settings=FAST) as relay:
        agent = Agent(f"127.0.0.1:{relay.port}")
        request = pb.PullRequest(certificate_request=pb.CertificateRequest(id="gw/ingress", csr=b"mine"))
        begin = agent.pull.produce
        sent: list[bytes] = []

        def eager() -> bytes | None:
            if not sent:
                sent.append(request.SerializeToString())
                return sent[0]
            return begin()

        agent.pull.produce = eager  # type: ignore[method-assign]
        async with running(agent):
            await until(lambda: any("certificate_request before HelloAck" in loss.message for loss in agent.losses))
