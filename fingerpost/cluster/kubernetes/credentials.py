"""As whom this process speaks to an API server, and how it knows that it is the one.

A kubeconfig may name helper programs, tokens that are renewed, proxies: the client package reads it. A pod's service
account is two files and two variables, read here, since that package brings requests, pydantic and oauthlib with it:
20 MB and a fifth of a second in every cluster.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from fingerpost.cluster.kubernetes.kubeconfig import usable
from fingerpost.cluster.protocol import ClusterFailed

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_HOST, _PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"
_FRESH = 60.0  # seconds for which a token read from its file is believed, as in Kubernetes' own client
_NOT_ITS_SHAPE = (TypeError, KeyError, AttributeError, ValueError)  # what the client package makes of any other file


class Credentials(NamedTuple):
    """`host` is a URL, perhaps with a path. `authorization` gives the header of that name, empty when a certificate
    says it all. `connection` are arguments of aiohttp: a proxy, the name in the server's certificate.
    """

    host: str
    tls: ssl.SSLContext
    authorization: Callable[[], Awaitable[str]]
    connection: Mapping[str, Any]


async def credentials(kubeconfig: Path | None = None, context: str = "") -> Credentials:
    """Without a kubeconfig: the pod's service account. Raises ClusterFailed."""
    return of_pod() if kubeconfig is None else await _of_kubeconfig(kubeconfig, context)


def of_pod(folder: Path = ACCOUNT, environ: Mapping[str, str] = os.environ) -> Credentials:
    """Raises ClusterFailed."""
    host, port = environ.get(_HOST, ""), environ.get(_PORT, "")
    if not host or not port:
        raise _unusable("the pod's service account", f"{_HOST} and {_PORT} are not set, this is no pod")
    token = _Token(folder / "token")
    try:
        token.read()
        tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise _unusable("the pod's service account", str(error)) from error
    return Credentials(f"https://{f'[{host}]' if ':' in host else host}:{port}", tls, token.header, {})


class _Token:
    """The kubelet renews the file long before the token in it has expired."""

    def __init__(self, file: Path) -> None:
        self._file, self._text, self._until = file, "", 0.0

    def read(self) -> None:
        """Raises OSError, ValueError."""
        text = self._file.read_text().strip()
        if not text:
            raise ValueError(f"{self._file} is empty")
        self._text, self._until = text, time.monotonic() + _FRESH

    async def header(self) -> str:
        if time.monotonic() >= self._until:
            self.read()
        return f"Bearer {self._text}"


async def _of_kubeconfig(file: Path, context: str) -> Credentials:
    from kubernetes.aio import client, config  # noqa: PLC0415 - what it costs is said above
    from kubernetes.aio.client.rest import RESTClientObject  # noqa: PLC0415
    from kubernetes.aio.config.config_exception import ConfigException  # noqa: PLC0415

    files, chosen = usable(str(file), context)
    given: Any = client.Configuration()  # annotated in part only
    try:
        await config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=files, context=chosen, client_configuration=given
        )
        rest: Any = RESTClientObject(given)
    except (ConfigException, OSError, yaml.YAMLError, *_NOT_ITS_SHAPE) as error:
        said = "it is no kubeconfig" if isinstance(error, _NOT_ITS_SHAPE) else " ".join(str(error).split())
        raise _unusable(f"the kubeconfig {file}", said) from error

    async def authorization() -> str:
        return await given.get_api_key_with_prefix("BearerToken", alias="authorization") or ""

    named = {"proxy": rest.proxy, "proxy_headers": rest.proxy_headers, "server_hostname": given.tls_server_name}
    return Credentials(given.host, rest.ssl_context, authorization, {k: v for k, v in named.items() if v})


def _unusable(what: str, why: str) -> ClusterFailed:
    return ClusterFailed(f"{what} cannot be used: {why}; name another, or correct it")
