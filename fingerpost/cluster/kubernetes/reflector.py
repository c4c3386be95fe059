"""Keeps one kind in step with an API server: list, watch from there, list again when the version has expired."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Any, Generic, NamedTuple, Never, Protocol, TypeVar

import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential_jitter

from fingerpost.cluster.kubernetes import answers
from fingerpost.cluster.kubernetes.api import Api, ApiFailed, status_of
from fingerpost.cluster.kubernetes.discovery import Resource

_T = TypeVar("_T")
_K = TypeVar("_K")  # what is kept of an object
_PAGE = 500
_WATCH_SECONDS = (240, 480)  # watches end at different times, so that an API server is not asked for all at once
_MISSING = 404
_FORBIDDEN = (401, 403)


class Scope(NamedTuple):
    """What is asked for: one resource, in one namespace or in all, and perhaps only one object."""

    resource: Resource
    namespace: str = ""
    name: str = ""

    @property
    def path(self) -> str:
        return self.resource.where(self.namespace)

    @property
    def query(self) -> dict[str, str]:
        return {"fieldSelector": f"metadata.name={self.name}"} if self.name else {}

    def __str__(self) -> str:
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.resource.plural}{f' {self.name}' if self.name else ''}{where}"


class Sink(Protocol[_K]):
    def read(self, scope: Scope, obj: dict[str, Any]) -> _K:
        """What is kept of an object; nothing else of it has to stay in memory."""

    def listed(self, scope: Scope, objects: Sequence[_K]) -> None:
        """All there are; what is not among them is gone."""

    def changed(self, scope: Scope, obj: dict[str, Any], *, gone: bool) -> None: ...

    def failed(self, scope: Scope, error: ApiFailed) -> None:
        """It cannot be listed or watched now; it is tried again."""

    def recovered(self, scope: Scope) -> None: ...


class _Bookmark(msgspec.Struct, frozen=True):
    metadata: answers.ListMeta


class _Event(msgspec.Struct, frozen=True):
    type: str
    object: msgspec.Raw


_bookmarks: msgspec.json.Decoder[_Bookmark] = msgspec.json.Decoder(_Bookmark)
_events: msgspec.json.Decoder[_Event] = msgspec.json.Decoder(_Event)


class Reflector(Generic[_K]):
    """`run` never returns. What `relist` gives is done with a listing that began after the call, or when nobody wants
    to know of this any more, which `end` says. A failure does not end it: who asked would take it for a listing.
    """

    def __init__(self, api: Api, scope: Scope, sink: Sink[_K], *, first: float = 0.1, ceiling: float = 15.0) -> None:
        self.scope = scope
        self._api, self._sink = api, sink
        self._first, self._ceiling = first, ceiling
        self._asked: list[asyncio.Future[None]] = []
        self._anew = asyncio.Event()

    def relist(self) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._asked.append(done)
        self._anew.set()
        return done

    def end(self) -> None:
        """Whoever waits need not; `run` is to be cancelled."""
        self._answer(len(self._asked))

    def _answer(self, count: int) -> None:
        """Those who asked first."""
        asked, self._asked = self._asked[:count], self._asked[count:]
        for future in asked:
            if not future.done():
                future.set_result(None)

    async def run(self) -> Never:
        while True:
            version = await self._retried(self._list)
            watching = asyncio.create_task(self._follow(version), name=f"reflector.{self.scope.resource.plural}")
            asked = asyncio.create_task(self._anew.wait())
            try:
                await asyncio.wait([watching, asked], return_when=asyncio.FIRST_COMPLETED)
                if watching.done():
                    watching.result()
            finally:
                watching.cancel()
                asked.cancel()
                await asyncio.wait([watching, asked])

    async def _retried(self, work: Callable[[], Awaitable[_T]]) -> _T:
        """Again and again, with growing pauses, or as long as the API server asks for."""
        wait = wait_exponential_jitter(multiplier=self._first, max=self._ceiling)

        def pause(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome is not None else None
            return max(wait(state), error.retry_after if isinstance(error, ApiFailed) else 0.0)

        def heard(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome is not None else None
            if isinstance(error, ApiFailed):
                self._sink.failed(self.scope, error)

        retrying = AsyncRetrying(wait=pause, before_sleep=heard, retry=retry_if_exception_type(ApiFailed))
        return await retrying(work)

    async def _list(self) -> str:
        """A consistent read in pages, never from the API server's cache. The version to watch from.

        The objects of a page are read one by one: decoded they are many times as large.
        """
        self._anew.clear()
        asked = len(self._asked)
        objects: list[_K] = []
        more = version = ""
        while True:
            query = {**self.scope.query, "limit": str(_PAGE), **({"continue": more} if more else {})}
            page = await self._api.get(self.scope.path, answers.page, query)
            objects += [self._sink.read(self.scope, answers.mapping(item)) for item in page.items or ()]
            version, more = page.metadata.resource_version or version, page.metadata.more
            if not more:
                break
        self._sink.listed(self.scope, objects)
        self._sink.recovered(self.scope)
        self._answer(asked)
        return version

    async def _follow(self, begin: str) -> None:
        """Watches until the version has expired."""
        at = begin

        async def once() -> bool:
            nonlocal at
            try:
                async with aclosing(self._watch(at)) as versions:
                    async for version in versions:
                        at = version
            except ApiFailed as error:
                if error.expired:
                    return False
                raise
            return True

        while await self._retried(once):
            pass

    async def _watch(self, version: str) -> AsyncGenerator[str, None]:
        """The version after each event."""
        seconds = random.randint(*_WATCH_SECONDS)  # noqa: S311 - spreads load, guards no secret
        query = {**self.scope.query, "resourceVersion": version}
        async with self._api.watching(self.scope.path, query, seconds) as lines:
            self._sink.recovered(self.scope)
            async for line in lines:
                event = _events.decode(line)
                if event.type == "ERROR":
                    reason, message, code = status_of(bytes(event.object))
                    raise ApiFailed(f"the watch of {self.scope} ended: {message}", code, reason)
                if event.type != "BOOKMARK":
                    self._sink.changed(self.scope, answers.item(event.object), gone=event.type == "DELETED")
                yield _bookmarks.decode(event.object).metadata.resource_version or version


def missing(error: ApiFailed) -> bool:
    """The kind is not served (any more)."""
    return error.status == _MISSING


def refused(error: ApiFailed) -> bool:
    """Credentials or rights are missing."""
    return error.status in _FORBIDDEN
