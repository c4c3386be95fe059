"""What a person asks: where a request goes, whether all is well, whether a change has arrived."""

from __future__ import annotations

from demo.paper import Paper
from demo.plane import Plane

# The words that each answer must hold; the output itself is shown whole.
_COMMANDS = (
    (("get", "routetables"), ("shop", "www", "3/3")),
    (("wait", "routetable", "shop/www", "--for", "applied", "--timeout", "10s"), ("3/3 gateways",)),
    (("check",), ("Redis",)),
    (
        ("explain", "route", "http://www.shop.example/cart/7", "--gateway", "east/gw/ingress"),
        ("shop/www", "outbound|80||cart.shop.global", "http[0]"),
    ),
)


def commands(plane: Plane, paper: Paper) -> None:
    for arguments, words in _COMMANDS:
        ran = plane.run(*arguments)
        paper.quote(f"fingerpost {' '.join(arguments)}", ran.output)
        missing = [word for word in words if word not in ran.output]
        came = f"exit code {ran.code}" + (f", without {', '.join(missing)}" if missing else "")
        paper.check(f"fingerpost {arguments[0]}", "exit code 0", came)
