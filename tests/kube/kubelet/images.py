"""What an image stands for: there are no containers, so a name means a program of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

from tests.fleet.fleet_processes import ENVOY

_BIN = os.path.join(sys.prefix, "bin")


class Image(NamedTuple):
    """`entrypoint` is what runs when the container names no command."""

    entrypoint: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    workdir: str = "/"


Images = Mapping[str, Image]

# By the last part of the name, without registry, tag and digest.
IMAGES: Images = {
    "fingerpost-mgmt": Image((f"{_BIN}/fingerpost-mgmt",)),
    "fingerpost-agent": Image((f"{_BIN}/fingerpost-agent",)),
    "fingerpost": Image((f"{_BIN}/fingerpost",)),
    "envoy": Image((ENVOY,)),
    "python": Image((sys.executable,)),
    "shell": Image(("/bin/sh",)),
}


def image_of(name: str, images: Images) -> Image | None:
    return images.get(name) or images.get(name.rpartition("/")[2].partition("@")[0].partition(":")[0])


PATH = f"{_BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
