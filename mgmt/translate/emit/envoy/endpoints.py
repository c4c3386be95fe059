"""EndpointsTemplates: where a destination's endpoints are, for all clusters alike; each agent makes its own
ClusterLoadAssignment of it.

Pod addresses never appear here: an agent fills in those of its own cluster (design D7).
"""

from __future__ import annotations

from fingerpost.relay.pieces import Piece, Role, piece
from fingerpost.relay.v1 import endpoints_pb2
from mgmt.translate.emit.envoy.cluster import contribution_of
from mgmt.translate.ir import MESH, Address, Destination, Endpoints


def encode_endpoints(destination: Destination, endpoints: Endpoints, *, prefer_locality: bool) -> tuple[Piece, ...]:
    """One piece: the whole EndpointsTemplate."""
    template = endpoints_pb2.EndpointsTemplate(
        cluster_name=destination.cluster_name,
        external=[_address(a) for a in endpoints.external],
        prefer_locality=prefer_locality,
    )
    for part in sorted(endpoints.parts, key=lambda p: p.cluster):
        out = template.parts.add(cluster=part.cluster, remote=[_address(a) for a in part.remote])
        if part.local is not None:
            out.local.namespace, out.local.name, out.local.port = part.local.namespace, part.local.name, part.local.port
            out.local.subset.update(destination.subset)
    body = template.SerializeToString(deterministic=True)
    return (piece(Role.TOP, contribution_of(destination.object), body),)


def _address(address: Address) -> endpoints_pb2.Address:
    mesh = address.tls_mode == MESH
    return endpoints_pb2.Address(
        address=address.host,
        port=address.port,
        region=address.region,
        zone=address.zone,
        sub_zone=address.sub_zone,
        mutual_tls=mesh,
        tls_mode="" if mesh else address.tls_mode,
    )
