"""What a person asks, with nothing but a kubeconfig: the command line finds the server and asks it by port-forward."""

from __future__ import annotations

from demo.kube.plane import MANAGEMENT, Plane
from demo.paper import Paper

_URL = "http://www.shop.example/cart/7"
# The words that each answer must hold; the output itself is shown whole.
_COMMANDS = (
    (("check",), ("Redis",)),
    (("get", "routetables", "-n", "shop"), ("www", "3/3")),
    (("wait", "routetable", "shop/www", "--for", "applied", "--timeout", "20s"), ("3/3 gateways",)),
    (("explain", "route", _URL, "--gateway", "east/gw/ingress"), ("shop/www", "cart.shop.global")),
    (("explain", "route", _URL, "--gateway", f"{MANAGEMENT}/gw/ingress"), ("shop/www", "cart.shop.global")),
)


def commands(plane: Plane, paper: Paper) -> None:
    for arguments, words in _COMMANDS:
        ran = plane.run(*arguments, "--kubecontext", MANAGEMENT)
        paper.quote(f"fingerpost {' '.join(arguments)} --kubecontext {MANAGEMENT}", ran.output)
        missing = [word for word in words if word not in ran.output]
        came = f"exit code {ran.code}" + (f", without {', '.join(missing)}" if missing else "")
        paper.check(f"fingerpost {arguments[0]}", "exit code 0", came)
