"""The network of the cluster tests: which addresses stand for what. Made by `python -m tests.kube`.

192.0.2.0/24 is local as it is, for what runs beside the clusters; so are the addresses of Services and of load
balancers, where a forwarder listens. Pods have namespaces of their own on a bridge. Its link address is given: a bridge
without one takes the lowest of its pods, and when that pod goes, the others reach nobody until they have asked again,
which takes half a minute.
"""

from __future__ import annotations

BRIDGE, BRIDGE_ADDRESS = "pods", "02:00:00:00:00:01"
GATEWAY, POD_MASK = "10.1.0.1", 16
COMMANDS = f"""
link set lo up
addr add 192.0.2.0/24 dev lo
addr add 10.0.0.0/16 dev lo
addr add 10.2.0.0/16 dev lo
link add {BRIDGE} address {BRIDGE_ADDRESS} type bridge
addr add {GATEWAY}/{POD_MASK} dev {BRIDGE}
link set {BRIDGE} up
"""


class Ground:
    """The addresses of one cluster; clusters of one test have different numbers."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._pods = self._balancers = 0

    @property
    def services(self) -> str:
        return f"10.0.{self._number}.0/24"

    @property
    def api(self) -> str:
        return f"10.0.{self._number}.1"

    @property
    def dns(self) -> str:
        return f"10.0.{self._number}.10"

    @property
    def node(self) -> str:
        return f"10.2.{self._number}.1"

    def pod(self) -> tuple[str, str]:
        """(address, name of its link), never one that was there before the range is used up."""
        self._pods += 1
        place = (self._pods - 1) % 240 + 10
        return f"10.1.{self._number}.{place}", f"pod{self._number}-{self._pods}"

    def balancer(self) -> str:
        self._balancers += 1
        return f"10.2.{self._number}.{self._balancers + 10}"
