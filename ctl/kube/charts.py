"""Where the charts are that come with the command line: in its package, or in the checkout that it runs from."""

from __future__ import annotations

from pathlib import Path

from ctl.exits import usage

CRDS, PLATFORM = "gloo-platform-crds", "gloo-platform"
_PLACES = (Path(__file__).parents[1] / "charts", Path(__file__).parents[2] / "charts")


def chart(name: str, given: str = "") -> Path:
    """`given` by a person: a folder or an archive. Raises Failed."""
    if given:
        path = Path(given).expanduser()
        if not path.exists():
            raise usage(f"the chart {path} does not exist", "name a folder with Chart.yaml, or a .tgz")
        return path
    for place in _PLACES:
        if (place / name / "Chart.yaml").is_file():
            return place / name
    raise usage(f"the chart {name} does not come with this installation", "name it with --chart-file")
