"""`python -m tests.kube`: builds the tools where they are missing, runs the cluster tests in a network of their own.

A real API server refuses loopback addresses in EndpointSlices, so 192.0.2.0/24 is made local in a network namespace;
nothing in it can reach anything else. Without Go it says what was not run, and ends well.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import socket
import struct
import subprocess
import sys

from tests.kube import tools

_INSIDE = "--inside"
_SUBNET, _MASK = "192.0.2.1", "255.255.255.0"
_SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK, _IFF_UP = 0x8914, 0x8916, 0x891C, 0x1


def main(arguments: list[str]) -> int:
    if arguments[:1] == [_INSIDE]:
        _network()
        return _pytest(arguments[1:])
    try:
        tools.build()
    except tools.ToolsMissing as missing:
        print(f"the cluster tests were not run: {missing}; {_count()} tests need it")
        return 0
    unshare = shutil.which("unshare")
    if unshare is None:
        print(f"the cluster tests were not run: unshare (util-linux) is not installed; {_count()} tests need it")
        return 0
    inside = [sys.executable, "-m", "tests.kube", _INSIDE, *arguments]
    return subprocess.run([unshare, "--map-root-user", "--net", *inside], check=False).returncode


def _network() -> None:
    """Loopback up, and the documentation network on it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for name in ("lo", "lo:pods"):
            if name != "lo":
                _ioctl(control, _SIOCSIFADDR, name, _address(_SUBNET))
                _ioctl(control, _SIOCSIFNETMASK, name, _address(_MASK))
            _ioctl(control, _SIOCSIFFLAGS, name, struct.pack("h14x", _IFF_UP))


def _address(dotted: str) -> bytes:
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(dotted))


def _ioctl(control: socket.socket, number: int, name: str, value: bytes) -> None:
    fcntl.ioctl(control, number, struct.pack("16s16s", name.encode(), value))


def _pytest(arguments: list[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *(arguments or ["tests/kube"])], check=False).returncode


def _count() -> str:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "tests/kube"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return str(sum(int(number) for number in re.findall(r": (\d+)$", said, re.MULTILINE)))


if __name__ == "__main__":
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    sys.exit(main(sys.argv[1:]))
