"""Values of flags and arguments as they are typed: of every command, found by walking over all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ctl import flags
from ctl.__main__ import command, run
from tests.unit.ctl.commands import leaves

Order = tuple[str, ...]


def parameters() -> Iterator[tuple[Order, Any]]:
    for path in sorted(leaves(command())):
        one = command()
        for name in path:
            one = one.commands[name]
        yield from ((path, param) for param in one.params)


OPTIONS = [
    (path, flag)
    for path, param in parameters()
    if param.param_type_name == "option" and not param.is_flag and param.name != "help"
    for flag in param.opts
]
ARGUMENTS = [(path, param) for path, param in parameters() if param.param_type_name == "argument"]


@pytest.fixture(autouse=True)
def _nobody_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FINGERPOST_CONFIG", str(tmp_path / "none"))


@pytest.mark.spec("C-3")
@pytest.mark.parametrize("value", ["", "  "], ids=["empty", "blank"])
@pytest.mark.parametrize(("path", "flag"), OPTIONS, ids=lambda v: v if isinstance(v, str) else " ".join(v))
def test_an_empty_flag_is_wrong_usage(path: Order, flag: str, value: str, capsys: Any) -> None:
    code = run([*path, flag, value])
    said = capsys.readouterr().err
    refused = " is empty\n" in said and "hint: give it a value" in said
    assert refused == (flag != "--license"), said  # no licence is needed, whatever is passed
    assert code == 2 or not refused


@pytest.mark.spec("C-3")
@pytest.mark.parametrize(("path", "param"), ARGUMENTS, ids=lambda v: v.name if hasattr(v, "name") else " ".join(v))
def test_an_empty_argument_is_wrong_usage(path: Order, param: Any, capsys: Any) -> None:
    before = [other for other_path, other in ARGUMENTS if other_path == path]
    typed = [word for word in path if word != "code"]  # which is written `explain CHK041`
    assert run([*typed, *("1" for _ in before[: before.index(param)]), ""]) == 2
    assert "error: the argument " in capsys.readouterr().err


@pytest.mark.parametrize("flag", sorted(flags._WITH_VALUE))
@pytest.mark.parametrize("order", [("{}", "", "version", "--client"), ("version", "--client", "{}=")], ids=len)
def test_an_empty_global_flag_is_wrong_usage(flag: str, order: Order, capsys: Any) -> None:
    if flag.startswith("--") or "" in order:
        assert run([part.replace("{}", flag) for part in order]) == 2
        assert f"error: {'-o' if flag in ('-o', '--output') else flag} is " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (("rollback", "58", "--cluster", ""), "--cluster is empty"),
        (("rollback", "58", "--workspace="), "--workspace is empty"),
        (("rollback", ""), "the argument SNAPSHOT is empty"),
        (("history", "--cluster", ""), "--cluster is empty"),
        (("explain", ""), "the argument CODE is empty"),
        (("diff", "-f", "a.yaml", "--snapshot", ""), "--snapshot is empty"),
    ],
)
def test_a_scope_that_is_empty_is_not_everything(order: Order, said: str, capsys: Any) -> None:
    assert run([*order, "-o", "json"]) == 2
    shown = capsys.readouterr()
    assert json.loads(shown.out)["findings"][0]["message"] == said
    assert f"error: {said}" in shown.err


SINGLE = [
    (path, flag)
    for path, param in parameters()
    if param.param_type_name == "option" and not (param.is_flag or param.multiple or param.name == "help")
    for flag in param.opts
]


@pytest.mark.parametrize(("path", "flag"), SINGLE, ids=lambda v: v if isinstance(v, str) else " ".join(v))
def test_a_flag_that_takes_one_value_takes_one(path: Order, flag: str, capsys: Any) -> None:
    assert run([*path, flag, "1", f"{flag}=2" if flag.startswith("--") else f"{flag}2"]) == 2
    said = capsys.readouterr().err
    assert " is given several times, with 1, 2\nhint: give it once" in said


def test_a_global_flag_that_says_whom_to_ask_takes_one_value(capsys: Any) -> None:
    assert run(["-n", "a", "version", "--client", "--namespace", "b"]) == 2
    assert "error: -n is given several times, with a, b\n" in capsys.readouterr().err
    assert run(["--mgmt-context", "a", "version", "--client", "--kubecontext=b"]) == 2
    assert run(["-n", "a", "version", "--client", "-n", "a"]) == 0
    assert run(["-o", "json", "version", "--client", "-o", "name"]) == 0


def test_what_is_to_go_is_not_in_the_files_too(capsys: Any) -> None:
    root = Path(__file__).parents[3]
    file, order = root / "examples/mgmt/route-www.yaml", ["--fleet", str(root / "examples"), "--delete", "rt/shop/www"]
    for asked in (["diff"], ["whatif", "--without", "west"]):
        assert run([*asked, "-f", str(file), *order]) == 2
        said = capsys.readouterr().err
        assert f"error: --delete is rt/shop/www, and RouteTable shop/www in cluster mgmt is also in {file}" in said, (
            said
        )
        assert "hint: take it out of the files, or leave --delete away" in said
