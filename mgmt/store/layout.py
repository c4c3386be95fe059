"""Names of keys, and objects to bytes and back.

All keys of layout 1 share one hash tag, so that one Lua call may touch them all.

fp:{fp}:schema          number of the layout; a newer one is left alone
fp:1:{fp}:epoch         drawn when Redis is empty or went back; a replica that knows another one recovers first
fp:1:{fp}:seq           config_version; only grows
fp:1:{fp}:floor         changes up to this seq may have left the stream
fp:1:{fp}:stream        one entry per change, id "<seq>-0": s set, f field, h hash ("" gone), r replica
fp:1:{fp}:sets          hash: set -> source; a set is "<cluster> NUL <type>"
fp:1:{fp}:in:<set>      hash: "<namespace>/<name>" -> 32 bytes of hash + canonical JSON
fp:1:{fp}:fences        hash: source -> token of the last claim
fp:1:{fp}:claimed-in    hash: source -> epoch of that claim
fp:1:{fp}:lease:<src>   string with expiry: the replica that holds an exclusive source
fp:1:{fp}:stands-in:<src> string with expiry: its holder, when that one gives way to a replica that can read the source
fp:1:{fp}:alive:<id>    string with expiry: the replica runs
fp:1:{fp}:hist:*        the history, in `mgmt.store.history`
fp:1:{fp}:arrival       hash: "<replica> NUL <field>" -> what it tells of its gateways (mgmt/status/replicas.py)
fp:1:{fp}:told          stream of changes of it: r replica, b the changed fields
fp:1:{fp}:asked         hash: cluster -> how often replicas have asked for a new listing of it (mgmt/elsewhere.py)
fp:1:{fp}:answered      hash: cluster -> the last of these questions that was answered
fp:1:{fp}:serving       sorted set: replica that serves agents -> until when, in ms of Redis' clock
"""

from __future__ import annotations

from fingerpost.objects import ObjectKey, content_hash
from mgmt.store.values import HASH, Stored

LAYOUT = 1
SCHEMA = "fp:{fp}:schema"
PREFIX = f"fp:{LAYOUT}:{{fp}}:"
EPOCH, SEQ, STREAM, SETS = PREFIX + "epoch", PREFIX + "seq", PREFIX + "stream", PREFIX + "sets"

ASKED, ANSWERED = PREFIX + "asked", PREFIX + "answered"
ARRIVAL, TOLD = PREFIX + "arrival", PREFIX + "told"


def inputs_of(set_: bytes) -> bytes:
    return f"{PREFIX}in:".encode() + set_


def alive_of(replica: str) -> str:
    return f"{PREFIX}alive:{replica}"


def set_of(cluster: str, type_: str) -> bytes:
    return f"{cluster}\0{type_}".encode()


def field_of(namespace: str, name: str) -> bytes:
    return f"{namespace}/{name}".encode()


def key_from(set_: bytes, field: bytes) -> ObjectKey:
    """An empty field names the whole set."""
    cluster, _, type_ = set_.decode().partition("\0")
    namespace, _, name = field.decode().partition("/")
    return ObjectKey(type_, cluster, namespace, name)


def stored_from(value: bytes) -> Stored | None:
    return Stored(value[:HASH], value[HASH:]) if len(value) > HASH else None


def checked(value: bytes) -> Stored | None:
    """None when the bytes are not what their hash says."""
    stored = stored_from(value)
    return stored if stored is not None and content_hash(stored.body) == stored.hash else None
