"""Whose the agent in a workload cluster is, by the values of its release."""

from __future__ import annotations

from ctl.exits import Code, Failed
from ctl.kube.charts import PLATFORM
from ctl.kube.helm import Helm


async def refuse_another(helm: Helm, name: str, where: str, *, other: str, management: str) -> None:
    """Raises Failed when the release is not that of an agent of cluster `name` alone; without a release all is well.

    `other` and `management` are what to do then; `{}` in `other` stands for the name of the other cluster.
    """
    release = await helm.find(PLATFORM)
    values = release.values if release else {}
    named = (values.get("common") or {}).get("cluster") or name
    if named != name:
        message = f"the agent in {where} is that of cluster {named}"
        raise Failed(Code.REFUSED, message, other.format(named), "OtherCluster")
    if (values.get("glooMgmtServer") or {}).get("enabled"):
        message = f"the release in {where} is also that of the management server"
        raise Failed(Code.REFUSED, message, management, "ManagementServer")
