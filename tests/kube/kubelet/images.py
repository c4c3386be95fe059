"""What an image stands for: there are no containers, so a name means a program of this machine."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

from mgmt.store.embedded import binary as redis_server
from tests.fleet.fleet_processes import ENVOY

_BIN = os.path.join(sys.prefix, "bin")
PATH = f"{_BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _beside(program: str) -> dict[str, str]:
    """The environment of an image that has the program on its path."""
    return {"PATH": f"{os.path.dirname(program)}:{PATH}"}


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
    "envoy": Image((ENVOY,), _beside(ENVOY)),
    "proxyv2": Image((ENVOY,), _beside(ENVOY)),  # of Istio; who starts it brings what its agent would
    "redis": Image((redis_server(),), _beside(redis_server())),
    "python": Image((sys.executable,)),
    "shell": Image(("/bin/sh",)),
}


def image_of(name: str, images: Images) -> Image | None:
    return images.get(name) or images.get(name.rpartition("/")[2].partition("@")[0].partition(":")[0])
