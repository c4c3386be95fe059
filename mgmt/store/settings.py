"""Where Redis is, or who knows where it is, and how patient we are with it. Parses an address into connection
arguments.

Never prints the password.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import msgspec

from mgmt.store.errors import StoreMisconfigured

_FORMS = (
    "redis://host:6379/0, rediss://host:6379/0, unix:///path/to/socket?db=0 or, for Sentinels, "
    "redis+sentinel://host:26379,host:26379/master/0"
)
_SENTINEL = "+sentinel"
_SENTINEL_PORT = 26379


class StoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`username` and `password` win over those in the URL.

    `secret_name` is what messages call the place they come from.
    """

    url: str
    username: str = ""
    password: str = ""
    secret_name: str = "the settings"
    ca_file: str = ""
    dial_timeout: float = 5.0
    read_timeout: float = 3.0
    write_timeout: float = 1.0  # of one turn's write; after that the turn goes on from memory
    stream_max: int = 100_000
    block: float = 2.0  # longest wait of the tail before it looks whether Redis is still the one it knew


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """`where` is fit for people: without user and password. `sentinels` tell where the Redis called `master` is, and
    `sentinel_arguments` is how these are asked.
    """

    where: str
    arguments: dict[str, Any]
    sentinels: tuple[tuple[str, int], ...] = ()
    master: str = ""
    sentinel_arguments: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Address({self.where})"


def parse(settings: StoreSettings) -> Address:
    """Raises StoreMisconfigured with the part of the URL that is wrong."""
    if settings.url.partition("://")[0].endswith(_SENTINEL):
        return _by_sentinels(settings)
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
    arguments |= _encrypted(settings, url.scheme) | _login(settings, url)
    return Address(where=where, arguments=arguments)


def _encrypted(settings: StoreSettings, scheme: str) -> dict[str, Any]:
    if scheme != "rediss":
        return {}
    return {"ssl": True, **({"ssl_ca_certs": settings.ca_file} if settings.ca_file else {})}


def _login(settings: StoreSettings, url: SplitResult) -> dict[str, Any]:
    given = {
        "username": settings.username or unquote(url.username or ""),
        "password": settings.password or unquote(url.password or ""),
    }
    return {name: value for name, value in given.items() if value}


def _by_sentinels(settings: StoreSettings) -> Address:
    """`redis+sentinel://[user:password@]host[:port],.../master[/db][?sentinel_auth=true]`; user and password are
    those of Redis, and with `sentinel_auth` of the Sentinels too. `rediss+sentinel`: TLS to all of them.
    """
    scheme, _, rest = settings.url.partition("://")
    login, _, rest = rest.rpartition("@")
    hosts, slash, path = rest.partition("/")
    scheme = scheme.removesuffix(_SENTINEL)
    if scheme not in ("redis", "rediss"):
        raise StoreMisconfigured(f'redis url: the scheme is "{scheme}{_SENTINEL}"; write {_FORMS}')
    url = urlsplit(f"{scheme}://{login}@sentinels/{path}" if login else f"{scheme}://sentinels/{path}")
    master, _, database = url.path.strip("/").partition("/")
    if not slash or not master:
        raise StoreMisconfigured(f"redis url: the name of the master is missing after the Sentinels; write {_FORMS}")
    arguments = {"db": _database(url._replace(path=database)), **_encrypted(settings, scheme), **_login(settings, url)}
    asks = parse_qs(url.query).get("sentinel_auth", ["false"])[0] == "true"
    left_out = {"db"} if asks else {"db", "username", "password"}
    sentinels = tuple(_sentinel(host.strip()) for host in hosts.split(","))
    return Address(
        where=f"{master} of the Sentinels {', '.join(f'{host}:{port}' for host, port in sentinels)}",
        arguments=arguments,
        sentinels=sentinels,
        master=unquote(master),
        sentinel_arguments={name: value for name, value in arguments.items() if name not in left_out},
    )


def _sentinel(text: str) -> tuple[str, int]:
    try:
        found = urlsplit(f"//{text}")
        if found.hostname:
            return found.hostname, found.port or _SENTINEL_PORT
    except ValueError as e:
        raise StoreMisconfigured(f"redis url: of a Sentinel {_reason(e)}; write {_FORMS}") from e
    raise StoreMisconfigured(f"redis url: the host of a Sentinel is missing; write {_FORMS}")


def _reason(e: ValueError) -> str:
    # urllib quotes the whole authority in some of its messages, and that may hold the password
    return "the port is not a number from 0 to 65535" if "ort" in str(e) else "it is not a URL"


def _database(url: SplitResult) -> int:
    text = parse_qs(url.query).get("db", ["0"])[0] if url.scheme == "unix" else url.path.strip("/") or "0"
    if not text.isascii() or not text.isdigit():
        raise StoreMisconfigured(f'redis url: the database is "{text}", it must be a number; write {_FORMS}')
    return int(text)
