"""The connection to an API server: JSON in and out, and the client's errors turned into ours.

It knows nothing of kinds, and `credentials` knows as whom it asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import aiohttp
import msgspec

from fingerpost import __version__
from fingerpost.cluster.kubernetes.answers import mapping
from fingerpost.cluster.kubernetes.credentials import Credentials, credentials
from fingerpost.cluster.protocol import ClusterFailed

_T = TypeVar("_T")
_TIMEOUT = 30.0  # of one request that is no watch
_UNKNOWN_CALLER = 401
_UNCHANGED = 304
_SLACK = 15.0  # beyond the time after which the API server ends a watch by itself
_LINE = 2**21  # bytes: half the longest event of a watch, which is one line and holds an object
_AGENT = f"fingerpost/{__version__}"
APPLY = "application/apply-patch+yaml"
MERGE = "application/merge-patch+json"


class ApiFailed(ClusterFailed):
    """`status` is the HTTP status, 0 when no answer came; `reason` the API's word for it (`Forbidden`, `Expired`)."""

    def __init__(self, message: str, status: int = 0, reason: str = "", retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status, self.reason, self.retry_after = status, reason, retry_after

    @property
    def expired(self) -> bool:
        """A watch cannot go on from its version: list again."""
        return self.status == 410 or self.reason == "Expired"


class _Answer(NamedTuple):
    status: int
    body: bytes
    headers: Mapping[str, str]

    def header(self, name: str) -> str:
        return str(self.headers.get(name, ""))


class Api:
    """Use `connected`. Who asks decides what is tried again. An answer for which `decode` raises ValueError is none."""

    def __init__(self, chosen: Credentials) -> None:
        self._credentials, self.where = chosen, chosen.host.rstrip("/")
        # no limit to connections: every watch holds one
        connector = aiohttp.TCPConnector(limit=0, ssl=chosen.tls)
        self._session = aiohttp.ClientSession(connector=connector, trust_env=True, read_bufsize=_LINE)

    async def get(
        self,
        path: str,
        decode: Callable[[bytes], _T],
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> _T:
        return self._decoded(path, decode, await self._ask("GET", path, query, {"Accept": accept}))

    async def get_unless(
        self, path: str, decode: Callable[[bytes], _T], etag: str, accept: str
    ) -> tuple[_T | None, str]:
        """(answer, etag); no answer when it is what bore this etag before."""
        answer = await self._ask("GET", path, None, {"Accept": accept, "If-None-Match": etag})
        return (None if answer.status == _UNCHANGED else self._decoded(path, decode, answer)), answer.header("Etag")

    async def patch(
        self, path: str, body: Any, kind: str, decode: Callable[[bytes], _T], query: Mapping[str, str] | None = None
    ) -> _T:
        return self._decoded(path, decode, await self._ask("PATCH", path, query, {"Content-Type": kind}, body))

    async def post(
        self, path: str, body: Any, decode: Callable[[bytes], _T], query: Mapping[str, str] | None = None
    ) -> _T:
        return self._decoded(path, decode, await self._ask("POST", path, query, {}, body))

    async def delete(self, path: str, body: Any = None) -> None:
        self._decoded(path, mapping, await self._ask("DELETE", path, None, {}, body))

    @asynccontextmanager
    async def watching(self, path: str, query: Mapping[str, str], seconds: int) -> AsyncIterator[AsyncIterator[bytes]]:
        """The lines of a watch that has begun, until the API server ends it, after `seconds` at the latest."""
        given = {**query, "watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        async with self._answer("GET", path, given, {}, None, seconds + _SLACK) as response:
            if response.status >= 300:
                raise _failed(self.where, path, response.status, await response.read(), response.headers)
            yield aiter(response.content)

    @asynccontextmanager
    async def web_socket(
        self, path: str, query: Mapping[str, str], protocol: str
    ) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Raises ApiFailed; a refusal bears no words of the API server's, since none arrive."""
        try:
            line = await self._session.ws_connect(
                self.where + path,
                params=query,
                headers=await self._headers({}),
                protocols=(protocol,),
                max_msg_size=0,
                **self._credentials.connection,
            )
        except aiohttp.WSServerHandshakeError as refused:
            raise _failed(self.where, path, refused.status, b"", refused.headers or {}) from refused
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            said = str(error) or type(error).__name__
            raise ApiFailed(f"the API server at {self.where} does not answer GET {path}: {said}") from error
        async with line:
            yield line

    async def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None, headers: Mapping[str, str], body: Any = None
    ) -> _Answer:
        async with self._answer(method, path, query or {}, headers, body, _TIMEOUT) as response:
            read = await response.read()
            if response.status >= 300 and response.status != _UNCHANGED:
                raise _failed(self.where, path, response.status, read, response.headers)
            return _Answer(response.status, read, response.headers)

    def _decoded(self, path: str, decode: Callable[[bytes], _T], answer: _Answer) -> _T:
        try:
            return decode(answer.body)
        except (ValueError, RecursionError) as error:
            came = f"{len(answer.body)} bytes of {answer.header('Content-Type') or 'no named type'}"
            raise ApiFailed(
                f"the API server at {self.where} answers {path} with {came} that are not what was asked for ({error}); "
                "if a proxy stands in front of it, let that pass this through, or name the API server itself"
            ) from error

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: Any,
        timeout: float,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        try:
            response = await self._session.request(
                method,
                self.where + path,
                params=query,
                headers=await self._headers(headers),
                data=None if body is None else msgspec.json.encode(body),
                timeout=aiohttp.ClientTimeout(total=timeout),
                **self._credentials.connection,
            )
            try:
                yield response
            finally:
                response.close()  # a watch that is left has its connection ended
        except aiohttp.ClientConnectorCertificateError as error:
            raise ApiFailed(_unproved(self.where, error.certificate_error)) from error
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            said = str(error) or type(error).__name__
            raise ApiFailed(f"the API server at {self.where} does not answer {method} {path}: {said}") from error

    async def _headers(self, given: Mapping[str, str]) -> dict[str, str]:
        """Raises OSError, ValueError when the credentials cannot be renewed."""
        said = await self._credentials.authorization()
        named = {"Accept": "application/json", "Content-Type": "application/json", "User-Agent": _AGENT, **given}
        return {**named, "Authorization": said} if said else named

    async def close(self) -> None:
        await self._session.close()


class _Status(msgspec.Struct, frozen=True):
    message: str = ""
    reason: str = ""
    code: int = 0


def status_of(raw: bytes, status: int = 0) -> tuple[str, str, int]:
    """(reason, message, code) of a `Status` object; an answer that is none stands for itself."""
    try:
        found = msgspec.json.decode(raw, type=_Status)
    except msgspec.DecodeError:
        return "", raw.decode(errors="replace")[:200], status
    return found.reason, found.message, found.code or status


def _unproved(where: str, error: Exception) -> str:
    said = getattr(error, "verify_message", "") or str(error)
    late = "expired" in said or "not yet valid" in said
    remedy = (
        "renew it there, or set the clocks right"
        if late
        else "let the kubeconfig name the address and the certificate authority of this API server"
    )
    return f"the certificate of the API server at {where} is refused: {said}; {remedy}"


def _failed(where: str, path: str, status: int, raw: bytes, headers: Mapping[str, str]) -> ApiFailed:
    reason, message, _ = status_of(raw, status)
    after = headers.get("Retry-After", "")
    remedy = "; give a token or certificate that it knows" if status == _UNKNOWN_CALLER else ""
    return ApiFailed(
        f"the API server at {where} answers {path} with {status}: {message or reason or 'no words'}{remedy}",
        status,
        reason,
        float(after) if after.isdigit() else 0.0,
    )


@asynccontextmanager
async def connected(kubeconfig: Path | None = None, context: str = "") -> AsyncIterator[Api]:
    """Without a kubeconfig: as the pod's service account. Raises ClusterFailed when there are no usable credentials."""
    api = Api(await credentials(kubeconfig, context))
    try:
        yield api
    finally:
        await api.close()
        await asyncio.sleep(0)  # the client's transports close in the next turn of the loop
