"""`python -m fingerpost.crd [FOLDER]`: writes the CustomResourceDefinitions, one file per kind."""

from __future__ import annotations

import sys
from pathlib import Path

from fingerpost.crd.files import files

_FOLDER = Path("charts/gloo-platform-crds/definitions")


def main(folder: Path) -> None:
    wanted = files()
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.yaml"):
        if stale.name not in wanted:
            stale.unlink()
    for name, text in wanted.items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else _FOLDER)
