"""From a URL, a method and headers to the request as a gateway's proxy sees it when it looks for a route."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from mgmt.translate.routing.match import Request, parse_query

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOP_BY_HOP = frozenset({"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"})
_ESCAPED = frozenset('"<>^`{|} ')
_UNRESERVED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~")
_HEX = frozenset("0123456789abcdefABCDEF")
_REMEDY = "; write for example https://www.shop.example/cart"
_UNKNOWN_CLIENT = "0.0.0.0"  # noqa: S104  stands in x-forwarded-for for a client that nobody named


class BadRequest(ValueError):
    """The request asked about is none; the message says why and can be shown as it is."""


class Asked(NamedTuple):
    """`path` None: the proxy refuses the path as written. `sni` empty: clients send none for an address."""

    scheme: str
    sni: str
    authority: str
    port: int
    path: str | None
    query: tuple[tuple[str, str], ...]
    method: str
    headers: tuple[tuple[str, str], ...]

    @property
    def host(self) -> str:
        """What virtual hosts are chosen by: the port plays no part."""
        return without_port(self.authority).lower()

    def on_port(self, service_port: int) -> Request:
        return Request(
            scheme=self.scheme,
            host=self.authority,
            path=self.path or "",
            query=self.query,
            headers=self.headers,
            method=self.method,
            port=service_port,
        )


def without_port(authority: str) -> str:
    head, colon, tail = authority.rpartition(":")
    return head if colon and tail.isdigit() and (":" not in head or head.endswith("]")) else authority


def parse_request(
    url: str,
    method: str = "GET",
    headers: Iterable[tuple[str, str]] = (),
    query: Iterable[tuple[str, str]] = (),
    client: str = _UNKNOWN_CLIENT,
) -> Asked:
    """Raises BadRequest. A URL without a scheme is http; a header `host` replaces the URL's host, but not the name that
    TLS asks for.
    """
    text = url if "://" in url else f"http://{url}"
    try:
        parts = urlsplit(text)
    except ValueError as error:
        raise BadRequest(f'"{url}" is no URL{_REMEDY}') from error
    try:
        port = parts.port
    except ValueError as error:
        raise BadRequest(f'the port of "{url}" is no number up to 65535{_REMEDY}') from error
    if parts.scheme not in _DEFAULT_PORTS:
        raise BadRequest(f'"{url}" begins with "{parts.scheme}"; write http:// or https://')
    if not parts.hostname:
        raise BadRequest(f'"{url}" names no host{_REMEDY}')
    authority = parts.netloc.rpartition("@")[2]
    if port == _DEFAULT_PORTS[parts.scheme]:
        authority = without_port(authority)
    given = tuple((name.strip(), value.strip()) for name, value in headers)
    authority = next((value for name, value in given if name.lower() in ("host", ":authority")), authority)
    more = tuple(query)
    return Asked(
        scheme=parts.scheme,
        sni="" if _is_address(parts.hostname) else parts.hostname.lower(),
        authority=authority,
        port=port or _DEFAULT_PORTS[parts.scheme],
        path=normalize_path(parts.path or "/"),
        query=(*parse_query(parts.query), *more),
        method=method.upper(),
        headers=_seen_headers(given, parts.scheme, client),
    )


def _is_address(host: str) -> bool:
    return ":" in host or host.rpartition(".")[2].isdigit()


def _seen_headers(given: Iterable[tuple[str, str]], scheme: str, client: str) -> tuple[tuple[str, str], ...]:
    """What the proxy removes and adds before it looks for a route, as a gateway at the edge (`use_remote_address`)."""
    own = {"host", ":authority", "x-forwarded-proto", *_HOP_BY_HOP}
    kept = [(n, v) for n, v in given if n.lower() not in own and not n.lower().startswith("x-envoy-")]
    kept.append(("x-forwarded-for", client))
    kept.append(("x-forwarded-proto", scheme))
    if not any(name.lower() == "x-request-id" for name, _ in kept):
        kept.append(("x-request-id", "generated-by-the-proxy"))
    return tuple(kept)


def normalize_path(path: str) -> str | None:
    """As Envoy's `normalize_path`: dot segments go, needless escapes go, a backslash is a slash; repeated slashes and
    escaped ones stay. None: it answers 400.
    """
    segments: list[str] = []
    parts = _unescaped(path).replace("\\", "/").split("/")[1:]
    if "%00" in path:
        return None
    for i, part in enumerate(parts):
        final = i == len(parts) - 1
        if part == "..":
            if segments:
                segments.pop()
        elif part != ".":
            segments.append(part)
            continue
        if final:
            segments.append("")
    return "/" + "/".join(segments)


def _unescaped(path: str) -> str:
    out: list[str] = []
    i = 0
    while i < len(path):
        char = path[i]
        if char == "%" and len(path) > i + 2 and path[i + 1] in _HEX and path[i + 2] in _HEX:
            meant = chr(int(path[i + 1 : i + 3], 16))
            out.append(meant if meant in _UNRESERVED else path[i : i + 3])
            i += 3
            continue
        if char in _ESCAPED or not char.isascii():
            out.append("".join(f"%{byte:02X}" for byte in char.encode()))
        else:
            out.append(char)
        i += 1
    return "".join(out)
