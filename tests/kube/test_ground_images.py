"""The images of this project run as pods: in-cluster credentials, folders and addresses are found where they are."""

from __future__ import annotations

from pathlib import Path

from fingerpost.api.kinds import KINDS
from tests.kube.cluster import running_cluster
from tests.kube.kube_client import Object, namespace, open_crd
from tests.kube.test_ground import deployment, ready_pods

RBAC = "rbac.authorization.k8s.io"
WHERE = "gloo-mesh"


def answers(port: int) -> Object:
    ask = f"import urllib.request as r; r.urlopen('http://127.0.0.1:{port}/readyz', timeout=1)"
    return {"exec": {"command": ["python", "-c", ask]}, "timeoutSeconds": 5}


async def test_server_and_agent_run_as_pods(tmp_path: Path) -> None:
    account = {"kind": "ServiceAccount", "name": "default", "namespace": WHERE}
    state = {"name": "state", "emptyDir": {}}
    mounts = [{"name": "state", "mountPath": "/var/lib/gloo"}]
    common: Object = {"image": "registry.test/fingerpost-mgmt:1", "volumeMounts": mounts, "ports": []}
    server = deployment(
        WHERE,
        "gloo-mesh-mgmt-server",
        spec={"volumes": [state]},
        args=["--in-cluster=true", "--state-dir=/var/lib/gloo/server"],
        readinessProbe=answers(9091),
        **common,
    )
    agent = {
        "name": "agent",
        **common,
        "image": "registry.test/fingerpost-agent:1",
        "args": ["--in-cluster=true", "--cluster=$(CLUSTER)", "--state-dir=/var/lib/gloo/agent"],
        "env": [{"name": "CLUSTER", "value": "mgmt"}],
        "readinessProbe": answers(9988),
    }
    server["spec"]["template"]["spec"]["containers"].append(agent)
    crds = [open_crd(k.kind, k.plural, k.group) for k in KINDS if k.written_by_users and k.model is not None]
    async with running_cluster("one", tmp_path) as cluster:
        await cluster.kube.apply(namespace(WHERE))
        await cluster.kube.install(*crds)
        binding = {
            "apiVersion": f"{RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "all"},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [account],
        }
        own: Object = {
            "apiVersion": "admin.gloo.solo.io/v2",
            "kind": "KubernetesCluster",
            "metadata": {"name": "mgmt", "namespace": WHERE},
            "spec": {"clusterDomain": "cluster.local"},
        }
        await cluster.kube.apply(binding, own, server)
        (pod,) = await ready_pods(cluster, WHERE, "gloo-mesh-mgmt-server")
        assert [c["restartCount"] for c in pod["status"]["containerStatuses"]] == [0, 0]
