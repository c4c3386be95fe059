"""A setting that cannot work ends the process at its start, with one line that names it, its value and the remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.settings import Settings as AgentSettings
from fingerpost.config import BadSettings, described, load
from mgmt.settings import Settings as ServerSettings

KINDS: dict[str, Any] = {"mgmt": ServerSettings, "agent": AgentSettings}
_NAME = "it must be 1 to 63 lower-case letters, digits and -, beginning with a letter"
_PORT = "it must be HOST:PORT such as"
_SECONDS = "it must be a number of seconds above 0"
BOTH = {
    ("cluster", "Mgmt_1"): _NAME,
    ("cluster", ""): _NAME,
    ("cluster", "a" * 64): _NAME,
    ("cluster", "1st"): _NAME,
    ("cluster", "mgmt\n"): _NAME,
    ("admin_address", "127.0.0.1"): _PORT,
    ("admin_address", "127.0.0.1:"): _PORT,
    ("admin_address", ":9091"): _PORT,
    ("admin_address", "127.0.0.1:http"): _PORT,
    ("admin_address", "127.0.0.1:65536"): _PORT,
    ("admin_address", "::1:9091"): _PORT,
    ("heartbeat", "-1"): _SECONDS,
    ("heartbeat", "0"): _SECONDS,
    ("heartbeat", "nan"): _SECONDS,
    ("heartbeat", "soon"): _SECONDS,
    ("verbose", "perhaps"): "it must be true or false",
    ("directory", ""): "it must be a folder of manifests",
    ("directory", "{file}"): "(it is a file); name another",
    ("state_dir", ""): "it must be a folder that this process can write to",
    ("state_dir", "{file}"): "(it is a file); name another",
    ("state_dir", "{file}/below"): "(Not a directory); name another",
    ("state_dir", "/proc/fingerpost"): "it must be a folder that this process can write to (",
}
OWN = {
    ("mgmt", "relay_address", "127.0.0.1"): _PORT,
    ("mgmt", "relay_address", "127.0.0.1:99999"): _PORT,
    ("mgmt", "admin_namespace", "gloo.mesh"): "it must be 1 to 63 lower-case letters, digits and -",
    ("mgmt", "lease", "-3"): _SECONDS,
    ("mgmt", "safe_start_window", "-1"): "it must be a number of seconds from 0",
    ("mgmt", "safe_mode", "maybe"): "it must be one of on, strict, off",
    ("mgmt", "guard_share", "50"): "it must be a share from 0 to 1",
    ("mgmt", "guard_floor", "-1"): "it must be a whole number from 0",
    ("mgmt", "ca_dir", "{file}"): "(it is a file); name another",
    ("agent", "xds_address", "127.0.0.1"): _PORT,
    ("agent", "server_address", "127.0.0.1:0"): "the port from 1",
    ("agent", "retry_ceiling", "-60"): _SECONDS,
    ("agent", "trust_domain", ""): "as SPIFFE has it",
    ("agent", "trust_domain", "Prod"): "as SPIFFE has it",
    ("agent", "trust_domain", "prod/a"): "as SPIFFE has it",
}
CASES = [(half, *case, words) for half in KINDS for case, words in BOTH.items()]
CASES += [(*case, words) for case, words in OWN.items()]


def _load(half: str, tmp_path: Path, environ: dict[str, str] | None = None, **given: str) -> Any:
    good = {"state_dir": str(tmp_path / "state"), "directory": str(tmp_path), "cluster": "east"}
    argv = [f"--{name.replace('_', '-')}={value}" for name, value in (good | given).items() if value is not None]
    return load(KINDS[half], f"FINGERPOST_{half.upper()}_", argv, environ or {}, "")


@pytest.mark.parametrize(("half", "name", "value", "words"), CASES)
def test_a_setting_that_cannot_work_is_refused(tmp_path: Path, half: str, name: str, value: str, words: str) -> None:
    file = tmp_path / "file"
    file.write_text("")
    value = value.replace("{file}", str(file))
    with pytest.raises(BadSettings) as caught:
        _load(half, tmp_path, **{name: value})
    said = str(caught.value)
    assert said.startswith(f'--{name.replace("_", "-")} is "{value}", ')
    assert words in said


@pytest.mark.parametrize("half", KINDS)
def test_what_works_is_taken(tmp_path: Path, half: str) -> None:
    found = _load(
        half, tmp_path, cluster="a" * 63, admin_address="[::1]:0", heartbeat="0.5", directory=str(tmp_path / "no")
    )
    assert (found.cluster, found.admin_address, found.heartbeat) == ("a" * 63, "[::1]:0", 0.5)
    assert found.directory == tmp_path / "no", "a folder may come later"
    assert (tmp_path / "state").is_dir()


def test_the_message_says_where_the_value_comes_from(tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text("lease: -1\n")
    with pytest.raises(BadSettings, match=r'^FINGERPOST_MGMT_HEARTBEAT is "x", it must be a number'):
        _load("mgmt", tmp_path, {"FINGERPOST_MGMT_HEARTBEAT": "x"})
    with pytest.raises(BadSettings, match=rf'^lease in {file} is "-1", it must be a number'):
        _load("mgmt", tmp_path, settings=str(file))
    file.write_text("redis_password: 4711\n")
    with pytest.raises(BadSettings, match=r"^redis_password in \S+ is not usable, it must be text") as caught:
        _load("mgmt", tmp_path, settings=str(file))
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "is no YAML: "),
        ("- a", "expected names and values"),
        ("cluter: a", "unknown setting cluter; known are "),
    ],
)
def test_a_file_of_settings_that_cannot_be_read_is_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(BadSettings) as caught:
        _load("agent", tmp_path, settings=str(file))
    assert str(file) in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(BadSettings, match=r"--settings is /no/such, which cannot be read"):
        _load("agent", tmp_path, settings="/no/such")


@pytest.mark.parametrize("half", KINDS)
def test_the_process_ends_with_1_and_one_line(tmp_path: Path, half: str) -> None:
    command = [sys.executable, "-m", half, f"--state-dir={tmp_path}", f"--directory={tmp_path}", "--cluster=Mgmt_1"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FINGERPOST")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f'fingerpost-{half}: --cluster is "Mgmt_1", {_NAME}\n'


@pytest.mark.parametrize(
    ("half", "flags", "words"),
    [
        (
            "mgmt",
            ("--disable-ca-cert-generation=true",),
            "disable_ca_cert_generation is true, and secret relay-server-tls-secret in {}/secrets has no tls.crt and "
            "tls.key; bring it",
        ),
        ("mgmt", ("--insecure=true", "--relay-token=s3cret"), "insecure is true, so relay_token has no effect; leave"),
        ("agent", ("--insecure=true", "--relay-token=s3cret"), "insecure is true, so relay_token has no effect; leave"),
    ],
)
def test_settings_of_the_relay_that_contradict_each_other_end_the_process(
    tmp_path: Path, half: str, flags: tuple[str, ...], words: str
) -> None:
    command = [sys.executable, "-m", half, f"--state-dir={tmp_path}", f"--directory={tmp_path}", "--cluster=east"]
    ports = ["--relay-address=127.0.0.1:0"] if half == "mgmt" else ["--xds-address=127.0.0.1:0"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("FINGERPOST")}
    done = subprocess.run(
        [*command, *ports, "--admin-address=127.0.0.1:0", *flags],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"fingerpost-{half}: {words.replace('{}', str(tmp_path))}")
    assert "s3cret" not in done.stderr


@pytest.mark.parametrize("half", KINDS)
def test_help_tells_meaning_allowed_values_and_default_of_every_setting(
    half: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        load(KINDS[half], "", ["--help"], {}, "")
    said = " ".join(capsys.readouterr().out.split())
    for one in described(KINDS[half]):
        assert one.meaning
        assert one.allowed
        default = "must be given" if one.default is None else f"default: {one.default}"
        assert f"{one.meaning} Allowed: {one.allowed} ({default})" in said
    assert "What this agent keeps: " in said or "`strict`: hold everything." in said
    assert "HOST:PORT such as 127.0.0.1:9900, the port from 0 (any) to 65535 (default: 127.0.0.1:9" in said
