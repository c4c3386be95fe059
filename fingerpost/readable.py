"""Resources of the relay as people read them: messages of Envoy by their fields, objects as they are applied. Secrets
are not among them: listeners only name theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2  # noqa: F401  (shown, though never made)
from google.protobuf import json_format
from google.protobuf.message import DecodeError

from fingerpost.objects import canonical
from fingerpost.relay.objects import OBJECT, STATUS
from fingerpost.relay.pieces import PieceList, join
from fingerpost.relay.v1 import endpoints_pb2

_MESSAGES: Mapping[str, Any] = {
    "cluster": cluster_pb2.Cluster,
    "endpoints": endpoints_pb2.EndpointsTemplate,
    "listener": listener_pb2.Listener,
    "routes": route_pb2.RouteConfiguration,
}


def readable(type_: str, pieces: PieceList) -> Any:
    """What cannot be shown is said in a text."""
    body = join(pieces)
    try:
        if type_ in (OBJECT, STATUS):
            return msgspec.json.decode(body)
        message = _MESSAGES.get(type_)
        if message is None:
            return body.decode("utf-8", "replace")
        shown = json_format.MessageToDict(message.FromString(body), preserving_proto_field_name=True)
        return msgspec.json.decode(canonical(shown))  # plain dictionaries, which those of an Any are not
    except (DecodeError, TypeError, json_format.Error, msgspec.DecodeError) as e:
        return f"{len(body)} bytes that cannot be shown: {e}"
