"""Where Redis is and how patient we are with it. Parses an address into connection arguments.

Never prints the password.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import msgspec

from mgmt.store.errors import StoreMisconfigured

_FORMS = "redis://host:6379/0, rediss://host:6379/0 or unix:///path/to/socket?db=0"


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`username` and `password` win over those in the URL.

    `secret_name` is what messages call the place they come from.
    """

    url: str
    username: str = ""
    password: str = ""
    secret_name: str = "REDIS_USERNAME and REDIS_PASSWORD"
    ca_file: str = ""
    dial_timeout: float = 5.0
    read_timeout: float = 3.0
    write_timeout: float = 1.0  # of one turn's write; after that the turn goes on from memory
    stream_max: int = 100_000
    block: float = 2.0  # longest wait of the tail before it looks whether Redis is still the one it knew


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """`where` is fit for people: without user and password."""

    where: str
    arguments: dict[str, Any]

    def __repr__(self) -> str:
        return f"Address({self.where})"


def parse(settings: StoreSettings) -> Address:
    """Raises StoreMisconfigured with the part of the URL that is wrong."""
    try:
        url = urlsplit(settings.url)
        port = url.port
    except ValueError as e:
        raise StoreMisconfigured(f"redis url: {_reason(e)}; write {_FORMS}") from e
    if url.scheme not in ("redis", "rediss", "unix"):
        raise StoreMisconfigured(f'redis url: the scheme is "{url.scheme}"; write {_FORMS}')
    arguments: dict[str, Any] = {"db": _database(url)}
    if url.scheme == "unix":
        if not url.path:
            raise StoreMisconfigured(f"redis url: the path of the socket is missing; write {_FORMS}")
        arguments["unix_socket_path"] = where = unquote(url.path)
    else:
        if not url.hostname:
            raise StoreMisconfigured(f"redis url: the host is missing; write {_FORMS}")
        arguments |= {"host": url.hostname, "port": port or 6379}
        where = f"{url.hostname}:{port or 6379}"
    if url.scheme == "rediss":
        arguments["ssl"] = True
        if settings.ca_file:
            arguments["ssl_ca_certs"] = settings.ca_file
    if username := settings.username or unquote(url.username or ""):
        arguments["username"] = username
    if password := settings.password or unquote(url.password or ""):
        arguments["password"] = password
    return Address(where=where, arguments=arguments)


def _reason(e: ValueError) -> str:
    # urllib quotes the whole authority in some of its messages, and that may hold the password
    return "the port is not a number from 0 to 65535" if "ort" in str(e) else "it is not a URL"


def _database(url: SplitResult) -> int:
    text = parse_qs(url.query).get("db", ["0"])[0] if url.scheme == "unix" else url.path.strip("/") or "0"
    if not text.isascii() or not text.isdigit():
        raise StoreMisconfigured(f'redis url: the database is "{text}", it must be a number; write {_FORMS}')
    return int(text)
