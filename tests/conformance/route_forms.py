"""A connection manager with its routes in either form, without anybody that it could ask for them."""

from __future__ import annotations

from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2 as hcm

from agent.xds.scoped_listener import scope
from agent.xds.scopes import Scopes
from fingerpost.relay.pieces import PieceList, Role, piece
from fingerpost.relay.route_forms import Form

BOTH = (Form.PLAIN, Form.SCOPED)
_VIRTUAL_HOSTS_TAG = bytes((2 << 3 | 2,))


def put_routes(manager: hcm.HttpConnectionManager, config: route_pb2.RouteConfiguration, form: Form) -> None:
    """As the agent would have the proxy ask for them."""
    if form is Form.PLAIN:
        manager.route_config.CopyFrom(config)
        return
    top = route_pb2.RouteConfiguration()
    top.CopyFrom(config)
    del top.virtual_hosts[:]
    hosts = [piece(Role.GROUP, "", _VIRTUAL_HOSTS_TAG + h.SerializeToString()) for h in config.virtual_hosts]
    scopes = Scopes(config.name)
    scopes.update(PieceList([piece(Role.TOP, "", top.SerializeToString()), *hosts]))
    scope(manager, config.name, scopes.rest)
    routes = manager.scoped_routes
    routes.ClearField("rds_config_source")
    for resource in scopes.resources.values():
        made = scoped_route_pb2.ScopedRouteConfiguration.FromString(resource.body)
        routes.scoped_route_configurations_list.scoped_route_configurations.append(made)
