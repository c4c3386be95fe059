"""A listener as one proxy gets it: bound to its own address, and without the filter chains whose secrets are not there
yet (design D15, §6.8).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2

from agent.apply.blocks import blocks_of
from agent.xds import scoped_listener
from fingerpost.relay.pieces import PieceList, join
from fingerpost.relay.route_forms import FORMS, Form


class Chain(NamedTuple):
    contribution: str
    secrets: frozenset[str]  # names of SDS secrets
    routes: frozenset[str]  # names of RouteConfigurations


class Parts(NamedTuple):
    """A listener, parsed once; `chains` in the order of its filter chains."""

    listener: listener_pb2.Listener
    chains: tuple[Chain, ...]
    forms: Mapping[str, Form]

    @property
    def secrets(self) -> frozenset[str]:
        return frozenset().union(*(c.secrets for c in self.chains))

    def routes(self, available: frozenset[str]) -> frozenset[str]:
        """The RouteConfigurations that a proxy asks for which was sent this listener."""
        ready = (c.routes for c in self.chains if c.secrets <= available)
        return _routes(self.listener.default_filter_chain).union(*ready)


def parse(pieces: PieceList) -> Parts:
    """Each block is a run of whole fields, so it can be parsed alone; that tells whose chain it is."""
    listener = listener_pb2.Listener()
    chains: list[Chain] = []
    for block in blocks_of(pieces.pieces):
        part = listener_pb2.Listener.FromString(join(block.pieces))
        chains += [Chain(block.head.contribution, _secrets(c), _routes(c)) for c in part.filter_chains]
        listener.MergeFrom(part)
    return Parts(listener, tuple(chains), _take_forms(listener))


def render(
    parts: Parts, bind: str, available: frozenset[str], scoped: Mapping[str, bool]
) -> tuple[bytes, tuple[Chain, ...]]:
    """The bytes (empty when no chain is left) and the chains that wait for a secret. A listener without chains of its
    own is sent as it is. `scoped`: the RouteConfigurations to ask for as scopes -> some host is a wildcard.
    """
    waiting = tuple(c for c in parts.chains if not c.secrets <= available)
    default = parts.listener.HasField("default_filter_chain")
    if len(waiting) == len(parts.chains) and not default:
        return b"", waiting
    to_scope = parts.routes(available) & scoped.keys()
    if not waiting and not bind and not to_scope:
        return parts.listener.SerializeToString(deterministic=True), ()
    listener = listener_pb2.Listener()
    listener.CopyFrom(parts.listener)
    if bind:
        listener.address.socket_address.address = bind
    if waiting:
        ready = [f for f, c in zip(parts.listener.filter_chains, parts.chains, strict=True) if c.secrets <= available]
        del listener.filter_chains[:]
        listener.filter_chains.extend(ready)
    if to_scope:
        for chain in (*listener.filter_chains, listener.default_filter_chain) if default else listener.filter_chains:
            _scope(chain, scoped)
    return listener.SerializeToString(deterministic=True), waiting


def _scope(chain: listener_components_pb2.FilterChain, scoped: Mapping[str, bool]) -> None:
    for network_filter in chain.filters:
        manager = http_connection_manager_pb2.HttpConnectionManager()
        if network_filter.typed_config.Unpack(manager) and manager.rds.route_config_name in scoped:
            config = manager.rds.route_config_name
            scoped_listener.scope(manager, config, scoped[config])
            network_filter.typed_config.Pack(manager, deterministic=True)


def _take_forms(listener: listener_pb2.Listener) -> Mapping[str, Form]:
    """They are nothing to the proxy, which would end the connections of all chains where more than a chain changes.

    A form that this agent does not know yet is the plain one.
    """
    if FORMS not in listener.metadata.filter_metadata:
        return {}
    known = {form.value: form for form in Form}
    fields = listener.metadata.filter_metadata[FORMS].fields
    forms = {name: known.get(value.string_value, Form.PLAIN) for name, value in fields.items()}
    del listener.metadata.filter_metadata[FORMS]
    if not listener.metadata.filter_metadata:
        listener.ClearField("metadata")
    return forms


def _secrets(chain: listener_components_pb2.FilterChain) -> frozenset[str]:
    context = tls_pb2.DownstreamTlsContext()
    if not chain.transport_socket.typed_config.Unpack(context):
        return frozenset()
    common = context.common_tls_context
    names = {c.name for c in common.tls_certificate_sds_secret_configs}
    names.add(common.validation_context_sds_secret_config.name)
    names.add(common.combined_validation_context.validation_context_sds_secret_config.name)
    return frozenset(names - {""})


def _routes(chain: listener_components_pb2.FilterChain) -> frozenset[str]:
    names: set[str] = set()
    for network_filter in chain.filters:
        connections = http_connection_manager_pb2.HttpConnectionManager()
        if network_filter.typed_config.Unpack(connections):
            names.add(connections.rds.route_config_name)
    return frozenset(names - {""})
