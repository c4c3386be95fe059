"""Events (events.k8s.io/v1) about users' objects, as `kubectl describe` and `kubectl events` show them."""

from __future__ import annotations

import datetime
import os
import secrets
from typing import Any

import msgspec

from fingerpost.cluster.kubernetes.answers import stored
from fingerpost.cluster.kubernetes.api import Api
from fingerpost.cluster.kubernetes.discovery import Resource
from fingerpost.cluster.protocol import Announcement
from fingerpost.objects import ObjectKey

_LONGEST = 1024  # of a note, in bytes


async def record(api: Api, manager: str, resource: Resource, key: ObjectKey, held: bytes, said: Announcement) -> None:
    """`held` is the object. Raises ApiFailed."""
    now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    namespace = key.namespace or "default"
    regarding: dict[str, Any] = {
        "apiVersion": resource.api_version,
        "kind": key.kind,
        "namespace": key.namespace,
        "name": key.name,
        "uid": msgspec.json.decode(held).get("metadata", {}).get("uid", ""),
    }
    event = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": f"{key.name[:230]}.{secrets.token_hex(8)}", "namespace": namespace},
        "eventTime": now,
        "reportingController": f"fingerpost.dev/{manager}",
        "reportingInstance": os.environ.get("HOSTNAME") or manager,
        "action": "Translate",
        "reason": said.reason,
        "type": "Warning" if said.warning else "Normal",
        "note": said.note.encode()[:_LONGEST].decode(errors="ignore"),
        "regarding": regarding,
    }
    await api.post(f"/apis/events.k8s.io/v1/namespaces/{namespace}/events", event, stored)
