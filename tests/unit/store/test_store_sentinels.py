"""Redis behind Sentinels: how it is named, and what is left when its master goes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
import structlog

from fingerpost.objects import ObjectKey, content_hash
from mgmt.store.errors import StoreError, StoreMisconfigured
from mgmt.store.redis_store import RedisStore
from mgmt.store.settings import StoreSettings, parse
from mgmt.store.values import Group, Stored, Write, agent_source
from tests.fleet.fleet_network import until
from tests.sentinels import MASTER, Watched, watched_redis

EAST = agent_source("east")


def test_the_url_names_sentinels_master_and_login() -> None:
    url = "redis+sentinel://relay:s3%2Fcret@a:1,b,[::1]:3/relay/2"
    found = parse(StoreSettings(url=url))
    assert found.sentinels == (("a", 1), ("b", 26379), ("::1", 3))
    assert (found.master, found.arguments) == ("relay", {"db": 2, "username": "relay", "password": "s3/cret"})
    assert found.sentinel_arguments == {}
    assert "s3" not in found.where + repr(found)
    asks = parse(StoreSettings(url="rediss+sentinel://a/relay?sentinel_auth=true", password="p", ca_file="ca.crt"))
    tls = {"ssl": True, "ssl_ca_certs": "ca.crt"}
    assert asks.arguments == {"db": 0, "password": "p", **tls}
    assert asks.sentinel_arguments == {"password": "p", **tls}


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+sentinel://a:1", "the name of the master is missing"),
        ("redis+sentinel://a:1/", "the name of the master is missing"),
        ("redis+sentinel://a:1,/relay", "the host of a Sentinel is missing"),
        ("redis+sentinel://user:canary@a:70000/relay", "the port is not a number from 0 to 65535"),
        ("redis+sentinel://user:canary@a:1/relay/x", 'the database is "x"'),
        ("unix+sentinel://a:1/relay", 'the scheme is "unix+sentinel"'),
    ],
)
def test_a_url_that_cannot_work_is_refused(url: str, words: str) -> None:
    with pytest.raises(StoreMisconfigured) as refusal:
        parse(StoreSettings(url=url))
    assert words in str(refusal.value)
    assert "redis+sentinel://host:26379" in str(refusal.value), "the remedy"
    assert "canary" not in str(refusal.value)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    async with watched_redis(tmp_path / "watched") as found:
        yield found


def _group(store_fence: object, name: str) -> Group:
    body = name.encode()
    write = Write(ObjectKey("a/B", "east", "shop", name), Stored(content_hash(body), body))
    return Group(EAST, store_fence, (write,))  # type: ignore[arg-type]


async def _attached(store: RedisStore) -> bool:
    try:
        await store.attach(0)
    except StoreError:
        return False
    return True


@pytest.mark.redis
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "frozen"])
async def test_what_was_written_outlives_the_master(watched: Watched, killed: bool) -> None:
    """With no server there to write it again: it was at the replica when `write` came back."""
    store = RedisStore(StoreSettings(url=watched.url, block=0.05, read_timeout=1), "a")
    fence = await store.claim(EAST) if await _attached(store) else None
    seq = 0
    for number in range(50):
        seq = (await store.write((_group(fence, f"t{number}"),), seq)).seq
    if killed:
        watched.kill_master()
    else:
        watched.freeze_master()
    async with aclosing(store.tail(seq)) as tail:
        with pytest.raises(StoreError):
            await anext(tail)
    await until(lambda: _attached(store), 30, "the promoted replica answers")
    loaded = await store.load()
    assert (loaded.seq, len(loaded.inputs), loaded.corrupt) == (50, 50, ())
    with structlog.testing.capture_logs() as logs:
        fence = await store.claim(EAST)
        assert (await store.write((_group(fence, "after"),), seq)).seq == 51
    assert [line["event"] for line in logs] == ["store.replica.behind"], "it stands alone now, and says so"
    assert MASTER in store.where
    await store.close()
