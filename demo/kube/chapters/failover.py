"""The nearest first; without pods there, another cluster, through both gateways and mutual TLS; and back."""

from __future__ import annotations

from collections import Counter

from demo.chapters.traffic import counted, who
from demo.client import Connection, handshake_refused
from demo.ground import EAST_WEST
from demo.kube.plane import Plane
from demo.paper import Paper
from demo.waiting import until

_WITHIN = 40.0


def failover(plane: Plane, paper: Paper) -> None:
    shop = plane.connection("east")
    replicas = len(plane.pods("east", "shop", "cart"))
    paper.check("50 x /cart in east: the nearest", "east/cart 50", _fifty(shop))
    plane.scale("east", "shop", "cart", 0)
    until(lambda: plane.pods("east", "shop", "cart"), lambda pods: not pods, "no cart in east", within=_WITHIN)
    until(lambda: shop.ask("/cart").cluster, lambda c: c == "west", "/cart of east answered by west", within=_WITHIN)
    paper.check("50 x /cart, all cart pods of east are deleted", "west/cart 50", _fifty(shop))
    plane.scale("east", "shop", "cart", replicas)
    until(lambda: shop.ask("/cart").cluster, lambda c: c == "east", "/cart of east answered by east", within=_WITHIN)
    paper.check("50 x /cart, the carts of east are back", "east/cart 50", _fifty(shop))
    shop.close()
    for what, name in (
        ("west's gateway, no client certificate", "outbound_.80_._.cart.shop.global"),
        ("west's gateway, a name not exposed", "outbound_.80_._.ledger.shop.global"),
    ):
        came = handshake_refused(plane.gateways["west"], EAST_WEST, name)
        paper.check(what, "closed", came or "open", right=came.startswith("closed"))


def _fifty(shop: Connection) -> str:
    return counted(Counter(who(shop.ask("/cart")) for _ in range(50)))
