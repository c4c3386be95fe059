"""The controller manager and the scheduler beside an API server: Deployments become Pods, Services get slices."""

from __future__ import annotations

from pathlib import Path

from tests.fleet.fleet_network import free_port
from tests.fleet.fleet_processes import Process
from tests.kube import tools
from tests.kube.api_server import ApiServer

# What they do needs machines or clouds, or would take pods off a node whose kubelet writes no lease.
_LEFT_OUT = ("nodelifecycle", "cloud-node-lifecycle", "nodeipam")


class Controllers:
    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._processes: list[Process] = []

    def start(self) -> None:
        pki, kubeconfig = self._server.folder / "pki", self._server.kubeconfig()
        self._start(
            "kube-controller-manager",
            kubeconfig,
            f"--service-account-private-key-file={pki / 'sa.key'}",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--controllers={','.join(['*', *(f'-{name}' for name in _LEFT_OUT)])}",
            "--use-service-account-credentials=false",
        )
        self._start("kube-scheduler", kubeconfig)

    def _start(self, program: str, kubeconfig: Path, *more: str) -> None:
        common = [f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--bind-address=127.0.0.1"]
        command = [tools.binary(program), *common, f"--secure-port={free_port()}", *more]
        # An own client's limits (20 requests a second) are made for clusters, and are seconds in a test.
        command += ["--kube-api-qps=500", "--kube-api-burst=1000"]
        self._processes.append(Process(command, self._server.folder / f"{program}.log"))

    def check(self) -> None:
        """Fails when one has ended by itself."""
        for process in self._processes:
            assert not process.has_ended, process.said()[-2000:]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
