"""A demo that is left up: its context for the command line, what to try, and how to stop it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from demo.ground import HTTP, HTTPS, KEPT, ROOT, STATES, lock_of
from demo.paper import Paper
from demo.plane import Plane
from demo.processes import stop_kept

_CONTEXT = "demo"


def keep(plane: Plane, paper: Paper) -> None:
    where = _contexts_file()
    (plane.ground.state / KEPT).write_text(str(where))
    _add_context(where, plane.context())
    ground, state = plane.ground, plane.ground.state.relative_to(ROOT)
    paper.say("")
    paper.say("Everything stays up. Where it is:")
    for place in ground.clusters.values():
        paper.note(
            f"{place.name:<4}  gateway http://{place.gateway}:{HTTP}, Envoy's admin http://127.0.0.1:{place.envoy}"
        )
    paper.note(f"server  http://127.0.0.1:{ground.admin}/metrics; context {_CONTEXT} in {where}")
    paper.say("What to try (no command needs an address):")
    east, trust = ground.clusters["east"].gateway, ground.authority.relative_to(ROOT)
    bin_ = ".venv/bin/fingerpost"
    for command in (
        f"{bin_} get routetables",
        f"{bin_} explain route http://www.shop.example/reviews/7 --gateway east/gw/ingress",
        f"{bin_} describe routetable shop/www",
        f"curl -H 'Host: www.shop.example' http://{east}:{HTTP}/cart",
        f"curl --cacert {trust} --connect-to ::{east}:{HTTPS} https://www.shop.example/cart",
        f"sed -i 's#prefix: /cart#prefix: /basket#' {state}/clusters/mgmt/route-www.yaml; "
        f"{bin_} wait routetable shop/www --for applied --timeout 10s",
        "make demo-stop",
    ):
        paper.note(command)


def stop_all_kept() -> int:
    """Those that wrote the contexts file which is in use now."""
    where, stopped = _contexts_file(), 0
    kept = [mark.parent for mark in sorted(STATES.glob(f"demo*/{KEPT}")) if mark.read_text() == str(where)]
    for state in kept:
        if (lock := lock_of(state)) is not None:  # else a demo is under way there, which ends by itself
            stopped += stop_kept(state)
            (state / KEPT).unlink(missing_ok=True)
            os.close(lock)
    _drop_context(where)
    Paper().say(f"{stopped} processes stopped" if stopped else "no demo is up")
    return 0


def _contexts_file() -> Path:
    given = os.environ.get("FINGERPOST_CONFIG")
    return Path(given).expanduser() if given else Path.home() / ".fingerpost" / "config.yaml"


def _read(where: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(where.read_text())
    except FileNotFoundError:
        found = None
    return found if isinstance(found, dict) else {}


def _write(where: Path, contexts: dict[str, Any]) -> None:
    where.parent.mkdir(parents=True, exist_ok=True)
    fresh = where.with_name(f".{where.name}.{os.getpid()}")
    fresh.write_text(yaml.safe_dump(contexts, sort_keys=False))
    fresh.replace(where)


def _add_context(where: Path, context: dict[str, Any]) -> None:
    found = _read(where)
    known = found.get("contexts") or {}
    _write(where, {**found, "current": _CONTEXT, "contexts": {**known, _CONTEXT: context}})


def _drop_context(where: Path) -> None:
    found = _read(where)
    known = found.get("contexts") or {}
    if _CONTEXT not in known:
        return
    left = {name: one for name, one in known.items() if name != _CONTEXT}
    current = found.get("current")
    if not left and current == _CONTEXT:
        where.unlink()  # nothing was there before us
        return
    _write(where, {**found, "current": "" if current == _CONTEXT else current, "contexts": left})
