"""Tables that share a host on some ports: the golden case `host_on_some_ports`, and what its gateway has to answer."""

from __future__ import annotations

from typing import NamedTuple

from tests.golden.golden_case import HERE, Case

CASE = Case(HERE / "route_table" / "host_on_some_ports")
CLUSTER, GATEWAY = "east", "gw/ingress"


class Asked(NamedTuple):
    port: int  # where the proxy listens
    host: str
    path: str


ANSWERS = {
    Asked(18080, "www.shop.example", "/x"): (200, "web all"),  # its catch-all comes first, as it is written
    Asked(18081, "www.shop.example", "/x"): (200, "inner x"),
    Asked(18081, "www.shop.example", "/"): (404, ""),
    Asked(18080, "api.shop.example", "/x"): (200, "api all"),
    Asked(18081, "api.shop.example", "/x"): (200, "api x"),  # shared here: what catches all comes last
    Asked(18081, "api.shop.example", "/y"): (200, "beside y"),
    Asked(18081, "api.shop.example", "/"): (200, "api all"),
    Asked(18082, "api.shop.example", "/x"): (200, "api all"),
    Asked(18082, "api.shop.example", "/y"): (200, "api all"),
    Asked(18082, "www.shop.example", "/x"): (404, ""),
}
