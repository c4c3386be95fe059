"""Where the charts are that come with the command line: in its package, or in the checkout that it runs from."""

from __future__ import annotations

import os
from pathlib import Path
from tarfile import is_tarfile

from ctl.exits import usage

CRDS, PLATFORM = "gloo-platform-crds", "gloo-platform"
_FLAGS = {CRDS: "--crds-chart-file", PLATFORM: "--chart-file"}
_PLACES = (Path(__file__).parents[1] / "charts", Path(__file__).parents[2] / "charts")


def chart(name: str, given: str = "") -> Path:
    """`given` by a person: a folder or an archive. Raises Failed."""
    if given:
        path = Path(os.path.expanduser(given))
        flag, remedy = _FLAGS[name], "name a folder with Chart.yaml, or a .tgz"
        if not path.exists():
            raise usage(f"{flag} is {given}, and the chart {path} does not exist", remedy)
        if not (path / "Chart.yaml").is_file() if path.is_dir() else not is_tarfile(path):
            raise usage(f"{flag} is {given}, which is no chart", remedy)
        return path
    for place in _PLACES:
        if (place / name / "Chart.yaml").is_file():
            return place / name
    raise usage(f"the chart {name} does not come with this installation", f"name it with {_FLAGS[name]}")
