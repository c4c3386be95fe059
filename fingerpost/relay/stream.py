"""One end of one bidirectional stream: a reader, a single writer, heartbeats, and a last word before the end.

The writer asks `produce` for the next frame when the former is written, so nothing queues up here: what waits, waits
as state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fingerpost.relay.reasons import LinkLost, Reason, Refused
from fingerpost.relay.settings import RelaySettings

SUPERSEDED = Refused(Reason.UNSPECIFIED, "a newer connection of this agent has taken over")
Read = Callable[[], Awaitable[bytes | None]]
Write = Callable[[bytes], Awaitable[None]]


class Stream:
    """`run` ends only by raising: LinkLost (also after our own Goodbye), or a bug's exception."""

    def __init__(
        self,
        read: Read,
        write: Write,
        settings: RelaySettings,
        *,
        heartbeat: Callable[[], bytes],
        goodbye: Callable[[Refused], bytes],
        half_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._read, self._write, self._settings = read, write, settings
        self._heartbeat, self._goodbye, self._half_close = heartbeat, goodbye, half_close
        self._wake = asyncio.Event()
        self._beat_due = False
        self._refusal: Refused | None = None
        self._group: asyncio.TaskGroup | None = None
        self._heard = 0.0
        self.bytes_in = 0
        self.bytes_out = 0

    @property
    def refusal(self) -> Refused | None:
        """Why this end has ended the stream, or is about to."""
        return self._refusal

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def finish(self, refusal: Refused) -> None:
        """Say Goodbye as the next frame and end. The first reason stays."""
        if self._refusal is None:
            self._refusal = refusal
            self._wake.set()

    def supersede(self) -> None:
        """Take and send nothing more, without a word: a newer stream has the work, and the peer ends this one."""
        self._refusal = self._refusal or SUPERSEDED

    def last_word(self, refusal: Refused) -> bytes:
        """The Goodbye for a stream that never ran."""
        return self._goodbye(refusal)

    async def say(self, frame: bytes) -> None:
        """The first frame, before `run`."""
        self.bytes_out += len(frame)
        await self._write(frame)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """A task that lives no longer than the stream."""
        if self._group is None:
            work.close()
            return
        self._group.create_task(work, name=name)

    async def run(
        self,
        receive: Callable[[bytes], None],
        produce: Callable[[], bytes | None],
        start: Coroutine[Any, Any, None] | None = None,
    ) -> None:
        """`receive` and `produce` return at once; Refused raised by any of the three is said to the peer before the
        end.
        """
        self._heard = asyncio.get_running_loop().time()
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(self._reader(receive), name="relay.stream.read")
                group.create_task(self._writer(produce), name="relay.stream.write")
                group.create_task(self._beats(), name="relay.stream.beats")
                if start is not None:
                    group.create_task(self._starter(start), name="relay.stream.start")
        except BaseExceptionGroup as several:
            error = _first(several)
            if isinstance(error, LinkLost) and (refusal := self._refusal) is not None:
                error = _lost(refusal)  # the peer may hang up before we are through with our last word
            raise error from several
        finally:
            self._group = None

    async def _starter(self, start: Coroutine[Any, Any, None]) -> None:
        try:
            await start
        except Refused as refusal:
            self.finish(refusal)

    async def _reader(self, receive: Callable[[bytes], None]) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            frame = await self._read()
            if frame is None:
                raise LinkLost("the peer closed the stream")
            self._heard = clock()
            self.bytes_in += len(frame)
            if self._refusal is not None:
                continue  # our Goodbye is on its way, nothing more is taken
            try:
                check_size(frame, self._settings)
                receive(frame)
            except Refused as refusal:
                self.finish(refusal)

    async def _writer(self, produce: Callable[[], bytes | None]) -> None:
        while self._refusal is None:
            self._wake.clear()
            frame = produce()
            if frame is None and self._beat_due:
                frame = self._heartbeat()
            if frame is None:
                await self._wake.wait()
                continue
            self._beat_due = False  # any frame proves that we live
            self.bytes_out += len(frame)
            await self._write(frame)
        refusal = self._refusal
        if refusal is SUPERSEDED:
            return  # a word of ours could arrive before the newer stream's Hello, and nobody would be connected
        frame = self._goodbye(refusal)
        self.bytes_out += len(frame)
        await self._write(frame)
        if self._half_close is not None:
            # A client that hangs up at once could overtake its own last frame; the peer closes when it has read it.
            await self._half_close()
            await asyncio.sleep(self._settings.drain_grace)
        raise _lost(refusal)

    async def _beats(self) -> None:
        clock, every = asyncio.get_running_loop().time, self._settings.heartbeat
        while True:
            due = clock() + every
            await asyncio.sleep(every)
            # while this process itself was busy or stopped, what had come was not read: that is no silence of the peer
            now = clock()
            self._heard = min(now, self._heard + max(0.0, now - due))
            silence = now - self._heard
            if silence > every * self._settings.heartbeats_missed:
                raise LinkLost(f"nothing heard for {silence:.1f} s")
            self._beat_due = True
            self._wake.set()


def check_size(frame: bytes, settings: RelaySettings) -> None:
    if len(frame) > settings.largest:
        raise Refused(Reason.PROTOCOL, f"a message of {len(frame)} bytes, at most {settings.largest} are taken")


def _lost(refusal: Refused) -> LinkLost:
    return LinkLost(refusal.message, reason=refusal.reason, retry_after=refusal.retry_after)


def _first(several: BaseExceptionGroup[BaseException]) -> BaseException:
    """A bug before a lost link: of the latter the first is the cause, of the former none may be hidden."""
    lost, rest = several.split(LinkLost)
    if rest is not None:
        return rest.exceptions[0] if len(rest.exceptions) == 1 else rest
    while lost is not None and isinstance(lost.exceptions[0], BaseExceptionGroup):
        lost = lost.exceptions[0]
    return lost.exceptions[0] if lost is not None else several
