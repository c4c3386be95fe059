"""Leases that leaders leave behind: a process that ends gives its own back, but cannot once its rights have gone with
its release. Whoever comes next would wait until it has run out, a quarter of a minute.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ctl.kube.api import Kube
from ctl.steps import Steps
from fingerpost.cluster.kubernetes.api import ApiFailed

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases/{}"
_POLL = 0.1


async def pods_gone(kube: Kube, namespace: str, app: str, timeout: float) -> bool:
    """They end a little after their Deployment. False: not in this time. Raises ApiFailed."""
    path = f"/api/v1/namespaces/{namespace}/pods"
    try:
        async with asyncio.timeout(timeout):
            while True:
                if not await kube.items(path, {"labelSelector": f"app={app}"}):
                    return True
                await asyncio.sleep(_POLL)
    except TimeoutError:
        return False


async def remove_leases(kube: Kube, namespace: str, apps: Sequence[str], timeout: float, steps: Steps) -> None:
    """Of these, whose pods have ended or are about to: never of one that runs, or there would be two leaders. What a
    person may not do here is only told, since Leases run out by themselves.
    """
    for app in apps:
        lease = _LEASES.format(namespace, app)
        try:
            if await kube.find(lease) is None:
                continue
            if not await pods_gone(kube, namespace, app, timeout):
                steps.warn(f"pods of {app} still run after {timeout:g}s, so its Lease stays until it has run out")
            elif await kube.delete(lease):
                steps.done(f"Lease {app} removed")
        except ApiFailed as failed:
            if failed.status != 403:
                raise
            steps.warn(f"the Lease of {app} stays until it has run out: {failed}")
