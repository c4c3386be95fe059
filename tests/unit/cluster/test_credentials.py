"""Credentials at an API server: a pod's service account, and what it costs to have none but that."""

import subprocess
import sys
from pathlib import Path

import pytest

from fingerpost.cluster.kubernetes import credentials as module
from fingerpost.cluster.kubernetes.credentials import of_pod
from fingerpost.cluster.protocol import ClusterFailed
from fingerpost.relay import pki

ENVIRON = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("first\n")
    (tmp_path / "ca.crt").write_bytes(pki.authority("a root", pki.Days(1)).chain)
    return tmp_path


async def test_a_renewed_token_is_shown_and_read_once_a_minute(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    pod = of_pod(account, ENVIRON)
    (account / "token").write_text("second")
    now += 59
    assert await pod.authorization() == "Bearer first"
    now += 1
    assert await pod.authorization() == "Bearer second"


@pytest.mark.parametrize(("host", "url"), [("10.0.0.1", "https://10.0.0.1:443"), ("fd00::1", "https://[fd00::1]:443")])
def test_the_api_server_is_where_the_pod_is_told(account: Path, host: str, url: str) -> None:
    pod = of_pod(account, ENVIRON | {"KUBERNETES_SERVICE_HOST": host})
    assert pod.host == url
    assert pod.tls.cert_store_stats()["x509_ca"] == 1, "only the cluster's own root is believed"
    assert pod.tls.check_hostname


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [("token", "", "token is empty"), ("token", None, "No such file"), ("ca.crt", "no certificate", "cannot be used")],
)
def test_a_broken_service_account_says_which_file(account: Path, file: str, text: str | None, said: str) -> None:
    if text is None:
        (account / file).unlink()
    else:
        (account / file).write_text(text)
    with pytest.raises(ClusterFailed, match=said):
        of_pod(account, ENVIRON)


def test_outside_of_a_pod(account: Path) -> None:
    with pytest.raises(ClusterFailed, match="KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set"):
        of_pod(account, {})


def test_an_agent_in_a_pod_loads_nothing_that_it_does_not_use() -> None:
    """The client package and what it brings take 20 MB (docs/adr/2026-11-22-a-pods-own-credentials.md), colours 4."""
    code = (
        "import sys, agent.__main__, fingerpost.cluster.kubernetes.cluster, fingerpost.secrets.kubernetes\n"
        "unused = ('kubernetes', 'requests', 'pydantic', 'sqlite3', 'mgmt', 'rich', 'pygments')\n"
        "print([name for name in unused if sys.modules.get(name)])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "[]"
