"""What a process finds at its start and cannot use ends it with one line, and stays as it was."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fingerpost.secrets.folder import FolderSecrets
from mgmt.authority import open_authority, root_place
from tests.orphans import kill_redis

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("FINGERPOST")}
FREE = {
    "mgmt": {"relay-address": "127.0.0.1:0", "admin-address": "127.0.0.1:0"},
    "agent": {"xds-address": "127.0.0.1:0", "admin-address": "127.0.0.1:0", "cluster": "east"},
}


def last_line(half: str, folder: Path, **given: str) -> str:
    flags = {"state-dir": str(folder / "state"), "directory": str(folder / "manifests")} | FREE[half]
    flags |= {name.replace("_", "-"): value for name, value in given.items()}
    command = [sys.executable, "-m", half, *(f"--{name}={value}" for name, value in flags.items())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=20, check=False)
    finally:
        kill_redis(folder / "state" / "redis")
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    return done.stderr.splitlines()[-1]


@pytest.mark.redis
@pytest.mark.parametrize(
    ("half", "setting"),
    [("mgmt", "admin_address"), ("mgmt", "relay_address"), ("agent", "admin_address"), ("agent", "xds_address")],
)
def test_an_address_where_nothing_can_listen_is_named_with_its_setting(tmp_path: Path, half: str, setting: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        said = last_line(half, tmp_path, **{setting: address})
    flag = f"--{setting.replace('_', '-')}"
    start = f'fingerpost-{half}: {setting} is "{address}", but nothing can listen there: '
    assert re.fullmatch(re.escape(start) + rf".*in use.*; give another with {flag}", said)


def test_an_address_of_another_machine_is_named_without_numbers_of_errors(tmp_path: Path) -> None:
    said = last_line("agent", tmp_path, admin_address="192.0.2.1:9988")
    assert "Cannot assign requested address; give another with --admin-address" in said
    assert "Errno" not in said


DAMAGES = {
    "key is not PEM": ("root.key", b"\x00\xff", "is not the PEM text of an elliptic curve key"),
    "key is empty": ("root.key", b"", "is not the PEM text of an elliptic curve key"),
    "key is gone": ("root.key", None, "is not there"),
    "certificate is cut": ("root.crt", b"-----BEGIN CERTIFICATE-----\nMIIB", "is not the PEM text of a certificate"),
    "certificate is gone": ("root.crt", None, "is not there"),
    "certificate is another's": ("root.crt", "another", "is not the certificate of root.key"),
}


def make_root(folder: Path) -> bytes:
    place = root_place(folder, folder, FolderSecrets(folder))
    return asyncio.run(open_authority(place)).roots


def test_of_several_servers_that_begin_at_once_all_have_the_same_root(tmp_path: Path) -> None:
    async def begun() -> set[bytes]:
        place = root_place(tmp_path / "ca", tmp_path, FolderSecrets(tmp_path))
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(open_authority(place)) for _ in range(8)]
        return {task.result().roots for task in tasks}

    assert asyncio.run(begun()) == {make_root(tmp_path / "ca")}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_root_ends_the_server_and_is_not_overwritten(tmp_path: Path, damage: str) -> None:
    name, content, words = DAMAGES[damage]
    ca = tmp_path / "state" / "ca"
    make_root(ca)
    if content == "another":
        make_root(tmp_path / "other")
        content = (tmp_path / "other" / name).read_bytes()
    if content is None:
        (ca / name).unlink()
    else:
        (ca / name).write_bytes(content)  # type: ignore[arg-type]  # bytes: the one text was replaced
    before = {file.name: file.read_bytes() for file in ca.iterdir()}
    said = last_line("mgmt", tmp_path)
    assert said.startswith(f"fingerpost-mgmt: {name} of secret ca in {ca.parent} {words}")
    assert "bring root.key and root.crt back from a copy, or remove both for a new root" in said
    assert {file.name: file.read_bytes() for file in ca.iterdir()} == before


@pytest.mark.redis
@pytest.mark.spec("M-27")
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"require_approval": "true"}, "require_approval is true, and the management cluster is no API server"),
        ({"require_approval": "true", "insecure": "true"}, "require_approval is true"),
    ],
)
def test_approval_that_nobody_can_be_asked_for_is_refused(tmp_path: Path, given: dict[str, str], said: str) -> None:
    assert said in last_line("mgmt", tmp_path, **given)
