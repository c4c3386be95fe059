"""Every way into the fleet: the filter chains of all gateways, each with the routes behind it, host by host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fingerpost.objects import ObjectKey
from mgmt.explain.candidates import Candidate, candidates
from mgmt.explain.host import Chosen, choose_host
from mgmt.explain.listener import planned_gateway, serving_of
from mgmt.explain.serving import Serving
from mgmt.translate.translator import Translator


class Door(NamedTuple):
    """A filter chain of a gateway. `port` is that of its Service, `names` are what TLS clients have to ask for."""

    gateway: ObjectKey
    port: int
    listening: int
    names: tuple[str, ...] = ()
    tls: bool = False

    def __str__(self) -> str:
        where = f"{self.gateway.cluster}/{self.gateway.namespace}/{self.gateway.name}:{self.port}"
        return f"{where} {'https' if self.tls else 'http'}"


def doors(translator: Translator) -> Iterator[tuple[Door, Serving]]:
    """Sorted by gateway and port."""
    for gateway, view in sorted(translator.gateways.gateways.items.items()):
        planned = planned_gateway(translator, gateway, view.spec)
        for port in planned.plan.ports if planned else ():
            outside = next((p.number for p in view.spec.ports if p.target == port.port), port.port)
            for chain in port.chains:
                serving = serving_of(translator, gateway, view.spec, chain)
                if serving is not None:
                    yield Door(gateway, outside, port.port, chain.server_names, chain.tls is not None), serving


class HostRoutes(NamedTuple):
    """What a host's requests meet at a door, in the order in which it is tried. `chosen` None: nobody serves it."""

    chosen: Chosen | None
    tried: tuple[Candidate, ...] = ()


def host_routes(translator: Translator, serving: Serving, host: str) -> HostRoutes:
    """`host` as tables write it; where no table has just that one, the wildcard that takes its place."""
    chosen = choose_host(serving, host)
    if chosen is None or chosen.redirect:
        return HostRoutes(chosen)
    return HostRoutes(chosen, tuple(candidates(translator, serving.routes, chosen)))
