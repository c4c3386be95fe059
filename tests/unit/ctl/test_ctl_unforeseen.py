"""Files that are no text, addresses that are none, and what nobody has foreseen: words and an exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from admin_world import healthy

from ctl.__main__ import run
from ctl.commands import explain

ROOT = Path(__file__).parents[3]
NO_TEXT = b"\xff\xfe\x00\xfa"


@pytest.fixture
def no_text(tmp_path: Path) -> str:
    (tmp_path / "binary").write_bytes(NO_TEXT)
    return str(tmp_path / "binary")


@pytest.mark.parametrize(
    "order",
    [("get", "rt"), ("config", "view"), ("config", "set-context", "x", "--server", "http://127.0.0.1:1")],
    ids=" ".join,
)
def test_a_contexts_file_that_is_no_text_is_told(no_text: str, order: tuple[str, ...], capsys: Any) -> None:
    assert run([*order, "--config", no_text]) == 2
    assert capsys.readouterr().err == (
        f"error: the contexts file {no_text} is no text\nhint: name another with --config, or correct it\n"
    )
    assert Path(no_text).read_bytes() == NO_TEXT


def test_a_dump_that_is_no_text_is_told(no_text: str, capsys: Any) -> None:
    assert run(["diff", "-f", str(ROOT / "examples/mgmt/route-www.yaml"), "--snapshot", no_text]) == 2
    assert f"error: --snapshot is {no_text}, which holds no dump of inputs\n" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--config", "--kubeconfig"])
def test_the_folder_of_a_person_who_is_not_there_is_told(flag: str, capsys: Any) -> None:
    assert run(["get", "rt", flag, "~nobody-of-this-name/file"]) == 2
    assert "~nobody-of-this-name/file does not exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:99999", "http://h:abc", "http://?x", "ftp://h", "h:9091", "http://h:0"]
)
def test_an_address_that_is_none_is_neither_written_nor_asked(address: str, tmp_path: Path, capsys: Any) -> None:
    config = tmp_path / "config.yaml"
    for given in (("--server", address), ("--agent", f"east={address}")):
        assert run(["config", "set-context", "y", *given, "--config", str(config)]) == 2
        assert f'error: {given[0]}{" east" if "=" in given[1] else ""} is "{address}"' in capsys.readouterr().err
    assert not config.exists()
    config.write_text(json.dumps({"contexts": {"y": {"server": address}}}))
    assert run(["get", "rt", "--config", str(config)]) == 2
    said = capsys.readouterr().err
    assert f'error: the server of context y in {config} is "{address}", which is no address\n' in said
    assert "hint: write http://HOST:PORT" in said
    config.write_text(json.dumps({"contexts": {"y": {"agents": {"east": address}}}}))
    assert run(["proxy", "bootstrap", "--cluster", "east", "--gateway", "a/b", "--config", str(config)]) == 2
    assert f'error: the agent of east of context y in {config} is "{address}"' in capsys.readouterr().err


@pytest.mark.parametrize("url", ["http://h:abc/", "http://h:99999/", "http://[::1/"])
def test_a_url_that_is_none_is_answered_with_one_that_is(servers: Any, fingerpost: Any, url: str) -> None:
    servers(healthy())
    done = fingerpost("explain", "route", url)
    assert (done.code, "cast" in done.err) == (2, False), done
    assert f'"{url}" is no' in done.err
    assert "; write for example https://www.shop.example/cart\n" in done.err


def test_what_nobody_has_foreseen_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    def broken(_: str) -> int:
        raise ExceptionGroup("several", [ExceptionGroup("inner", [KeyError("place\nof")])])

    monkeypatch.setattr(explain, "explain_code", broken)
    assert run(["explain", "CHK041"]) == 70
    line, hint = capsys.readouterr().err.splitlines()
    assert line.startswith("error: a fault of fingerpost itself: KeyError: 'place")
    assert hint == "hint: -v shows where it happened; please report that"
    assert run(["explain", "CHK041", "-o", "json"]) == 70
    assert json.loads(capsys.readouterr().out)["findings"][0]["code"] == "Fault"
    assert run(["explain", "CHK041", "-v"]) == 70
    assert "in broken" in capsys.readouterr().err
