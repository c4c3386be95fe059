"""A kubeconfig that cannot be used is told in one line, with what to do; of several, the first word counts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from fingerpost.cluster.kubernetes.kubeconfig import KubeconfigWrong, usable


def written(file: Path, current: str, **clusters: str) -> Path:
    """A context for each cluster of `clusters`, the context's name first."""
    config: dict[str, Any] = {
        "current-context": current,
        "clusters": [{"name": c, "cluster": {"server": f"https://{c}"}} for c in clusters.values() if c != "gone"],
        "contexts": [{"name": n, "context": {"cluster": c}} for n, c in clusters.items()],
    }
    file.write_text(yaml.safe_dump(config))
    return file


def test_of_several_files_the_first_word_counts_as_it_does_for_kubectl(tmp_path: Path) -> None:
    """Helm goes by the same rule: the two must not mean different clusters."""
    one, two = written(tmp_path / "1", "a", a="x"), written(tmp_path / "2", "b", b="y")
    (tmp_path / "empty").touch()
    given = os.pathsep.join(map(str, (tmp_path / "missing", tmp_path / "empty", one, "", two)))
    assert usable(given) == (f"{one}{os.pathsep}{two}", "a")
    assert usable(given, "b") == (f"{one}{os.pathsep}{two}", "b")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("a: [\n", "is not YAML: line 2: "),
        ("hello", "is no kubeconfig: it has no clusters and no contexts"),
        ("[1]", "is no kubeconfig"),
        ("{kind: Config}", "is no kubeconfig"),
        ("{contexts: {a: b}}", "contexts is no list of entries with names"),
        ("{clusters: [a]}", "clusters is no list of entries with names"),
    ],
)
def test_a_file_that_is_no_kubeconfig(tmp_path: Path, text: str, why: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(KubeconfigWrong) as wrong:
        usable(str(file))
    assert f"{file} {why}" in wrong.value.why or f"{file}: {why}" in wrong.value.why
    assert wrong.value.remedy
    assert "\n" not in str(wrong.value)
    assert not wrong.value.of_context


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigWrong, match=f"the kubeconfig {tmp_path} is a folder; name a file in it"):
        usable(str(tmp_path))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KubeconfigWrong, match="is no text"):
        usable(str(tmp_path / "bytes"))
    looped = tmp_path / "loop"
    looped.symlink_to("/proc/self/mem")  # opened, but not read, by root too
    with pytest.raises(KubeconfigWrong, match=r"cannot be read: .*; make it readable"):
        usable(str(looped))


@pytest.mark.parametrize(
    ("current", "asked", "why"),
    [
        ("", "", "has no current-context; name one of its contexts: a, broken"),
        ("a", "none", "has no context none; name one of its contexts: a, broken"),
        ("none", "", "has no context none"),
        ("broken", "", "context broken of the kubeconfig .* names the cluster gone, which is not in it"),
    ],
)
def test_a_context_that_is_not_in_it(tmp_path: Path, current: str, asked: str, why: str) -> None:
    file = written(tmp_path / "config", current, a="x", broken="gone")
    with pytest.raises(KubeconfigWrong, match=why) as wrong:
        usable(str(file), asked)
    assert wrong.value.of_context
