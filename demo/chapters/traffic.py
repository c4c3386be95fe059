"""Requests: what was expected and what came; a weight split; the nearest cluster first and the next one if need be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from demo.client import Answer, Connection, handshake_refused
from demo.folders import manifest, none_ready
from demo.ground import EAST_WEST
from demo.paper import Line, Paper
from demo.plane import Plane
from demo.waiting import until

_SPLIT, _SHARE, _TOLERANCE = 1000, 90.0, 3.0


class Gateways(Protocol):
    """The gateways of the clusters, asked at the ports of their Services."""

    def connection(self, cluster: str, host: str = "www.shop.example", port: int = 80) -> Connection: ...


def who(answer: Answer) -> str:
    """The cluster and the application; which pod of it is chance."""
    if not answer.pod:
        return answer.by
    return f"{answer.cluster}/{answer.pod.rpartition('-')[0] or answer.pod}"


class Case(NamedTuple):
    """A request to a gateway and what shall come. `port` is that of the gateway's Service."""

    cluster: str
    path: str
    expected: str
    host: str = "www.shop.example"
    port: int = 80
    method: str = "GET"
    headers: Mapping[str, str] = {}
    came: Callable[[Answer], str] = who

    @property
    def what(self) -> str:
        scheme = "https" if self.port == 443 else "http"
        port = "" if self.port in (80, 443) else f":{self.port}"
        headers = "".join(f" {k}: {v}" for k, v in self.headers.items())
        return f"{self.cluster:<4}  {self.method} {scheme}://{self.host}{port}{self.path}{headers}"


def _path(answer: Answer) -> str:
    """What the pod was asked for, which rewrites change."""
    return f"{who(answer)} {answer.path}"


def _host(answer: Answer) -> str:
    return f"{who(answer)} as {answer.host}"


def _both(answer: Answer) -> str:
    return f"{answer.cluster} {answer.host}{answer.path}"


def _redirect(answer: Answer) -> str:
    return f"{answer.status} to {answer.headers.get('location', '')}"


_API = "api.shop.example"
_ITEM = "/item/7/picture?size=s"
CASES = (
    Case("east", "/cart", "east/cart"),
    Case("west", "/cart", "west/cart"),
    Case("west", "/reviews/7", "west/reviews /v1/reviews/7", came=_path),
    Case("east", "/reviews/7", "west/reviews /v1/reviews/7", came=_path),
    Case("mgmt", "/reviews/7", "west/reviews /v1/reviews/7", came=_path),
    Case("mgmt", "/reviews/7", "west/reviews /v1/reviews/7", port=443, came=_path),
    Case("east", _ITEM, "outside pictures.example.com/pictures/7.png?size=s", came=_both),
    Case("east", "/old-shop/x", "302 to http://www.shop.example/catalog", came=_redirect),
    Case("east", "/FAX", "410 we no longer have a fax"),
    Case("east", "/nothing", "404"),
    Case("east", "/cart", "404", host="unknown.example"),
    Case("east", "/cart?id=1", "301 to https://www.shop.example/cart?id=1", port=81, came=_redirect),
    Case("east", "/cart", "east/cart", port=443),
    Case("east", "/items", "east/catalog-v1", host=_API),
    Case(
        "east",
        "/items",
        "east/catalog-v2 as canary.shop.example",
        host=_API,
        headers={"x-canary": "true"},
        came=_host,
    ),
    Case("east", "/items", "200 welcome back", host=_API, headers={"cookie": "a=1; session=42"}),
    Case("east", "/items?q=tea&page=2", "200 search", host=_API),
    Case("east", "/items?q=tea&page=two", "east/catalog-v1", host=_API),
    Case("east", "/items", "401 no token", host=_API, method="POST"),
    Case("east", "/items", "404", host=_API, method="POST", headers={"authorization": "t"}),
    Case("east", "/items", "east/catalog-v1", host=_API, port=443, method="POST", headers={"authorization": "t"}),
    Case("east", "/orders", "east/backoffice", host="backoffice.shop.example", port=82),
    Case("west", "/orders", "404", host="backoffice.shop.example"),
)


def requests(plane: Gateways, paper: Paper) -> None:
    paper.table([_tried(plane, case) for case in CASES])


def _tried(plane: Gateways, case: Case) -> Line:
    connection = plane.connection(case.cluster, case.host, case.port)
    try:
        came = case.came(connection.ask(case.path, case.method, case.headers))
        return Line(case.what, case.expected, came, came == case.expected)
    finally:
        connection.close()


def arrived(plane: Gateways) -> None:
    """Waits until every request of the table could be answered: the slowest is the way into another cluster."""
    for cluster in ("east", "mgmt"):
        shop = plane.connection(cluster)
        until(lambda shop=shop: shop.ask("/reviews/7").pod, bool, f"the way from {cluster} to west")  # type: ignore[misc]
        shop.close()
    for cluster, host in (("east", "www.shop.example"), ("east", "api.shop.example"), ("mgmt", "www.shop.example")):
        secure = plane.connection(cluster, host, 443)
        until(lambda one=secure: one.ask("/").status, bool, f"https for {host} in {cluster}")  # type: ignore[misc]
        secure.close()
    office = plane.connection("east", "backoffice.shop.example", 82)
    until(lambda: office.ask("/orders").pod, bool, "the port backoffice of east")
    office.close()


def weights(plane: Gateways, paper: Paper) -> None:
    shop = plane.connection("east")
    came = Counter(shop.ask("/catalog").pod.rpartition("-")[0] or "no answer" for _ in range(_SPLIT))
    shop.close()
    share = 100 * came["catalog-v1"] / _SPLIT
    right = abs(share - _SHARE) <= _TOLERANCE and sum(came.values()) == came["catalog-v1"] + came["catalog-v2"]
    said = ", ".join(f"{name} {count}" for name, count in sorted(came.items()))
    paper.check(
        f"{_SPLIT} x /catalog",
        f"{_SHARE:.0f} % catalog-v1, +-{_TOLERANCE:.0f}",
        f"{share:.1f} % ({said})",
        right=right,
    )


def failover(plane: Plane, paper: Paper) -> None:
    shop = plane.connection("east")
    near = Counter(who(shop.ask("/cart")) for _ in range(50))
    paper.check("50 x /cart in east: the nearest", "east/cart 50", counted(near))
    cart = manifest(plane.ground, "east", "cart")
    handshakes = plane.counter("east", "outbound|80||cart.shop.global.ssl.handshake")
    cart.write(none_ready(cart.text))
    until(lambda: shop.ask("/cart"), lambda a: a.cluster == "west", "/cart of east answered by west")
    far = Counter(who(shop.ask("/cart")) for _ in range(50))
    paper.check("50 x /cart, no cart ready in east", "west/cart 50", counted(far))
    made = plane.counter("east", "outbound|80||cart.shop.global.ssl.handshake") - handshakes
    paper.check("mutual TLS from east's gateway to west's", "at least 1 handshake", f"{made}", right=made >= 1)
    cart.put_back()
    until(lambda: shop.ask("/cart"), lambda a: a.cluster == "east", "/cart of east answered by east")
    back = Counter(who(shop.ask("/cart")) for _ in range(50))
    paper.check("50 x /cart, the carts of east are back", "east/cart 50", counted(back))
    shop.close()
    west = plane.ground.clusters["west"].gateway
    for what, name in (
        ("west's gateway, no client certificate", "outbound_.80_._.cart.shop.global"),
        ("west's gateway, a name not exposed", "outbound_.80_._.ledger.shop.global"),
    ):
        came = handshake_refused(west, EAST_WEST, name)
        paper.check(what, "closed", came or "open", right=came.startswith("closed"))


def counted(found: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(found.items()))


def requests_quietly(plane: Gateways) -> int:
    """How many requests of the table are answered as expected."""
    return sum(_tried(plane, case).right for case in CASES)
