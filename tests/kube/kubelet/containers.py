"""One container of a pod: started, probed, started again, ended."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

from tests.kube.kubelet.probes import Prober
from tests.kube.kubelet.sandbox import Contained
from tests.kube.kubelet.volumes import NotYet
from tests.kube.kubelet.watched import Object

_FIRST_PAUSE, _LAST_PAUSE = 0.5, 10.0  # the real one begins with ten seconds
_STEADY = 20.0  # who ran so long begins anew with the first pause
_EAGER = 0.1
_RETRY = 0.2


class Around(NamedTuple):
    """What a container needs of its pod. `start` raises NotYet."""

    start: Callable[[Object], Awaitable[Contained]]
    changed: Callable[[], None]
    prober: Prober
    address: str
    policy: str
    grace: float


class Container:
    """`ready` and `started` as in the status."""

    def __init__(self, spec: Object, around: Around) -> None:
        self.spec, self._around = spec, around
        self.ready = self.started = False
        self.exit_code: int | None = None  # once it will not be started again
        self._restarts = 0
        self._state: Object = _waiting("ContainerCreating", "")
        self._last: Object = {}
        self._process: Contained | None = None
        self._ending = False
        self._ports = {p["name"]: p["containerPort"] for p in spec.get("ports") or () if "name" in p}

    def status(self) -> Object:
        image = self.spec.get("image", "")
        known = {"name": self.spec["name"], "image": image, "imageID": image}
        state = {"state": self._state, "lastState": self._last, "restartCount": self._restarts}
        return {**known, **state, "ready": self.ready, "started": self.started}

    async def run(self) -> int:
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            code = await self._once()
            policy = self._around.policy
            if self._ending or policy == "Never" or (policy == "OnFailure" and code == 0):
                self.exit_code = code
                self._around.changed()
                return code
            if time.monotonic() - began > _STEADY:
                pause = _FIRST_PAUSE
            self._last, said = self._state, f"back-off {pause} s restarting; it ended with exit code {code}"
            self._say(_waiting("CrashLoopBackOff", said))
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)
            self._restarts += 1

    async def _once(self) -> int:
        process = self._process = await self._started()
        began = _now()
        self._say({"running": {"startedAt": began}})
        probing = asyncio.create_task(self._probe(process), name=f"probe.{self.spec['name']}")
        try:
            code = await process.ended()
        finally:
            probing.cancel()
            await asyncio.wait([probing])
            process.kill()
        if not probing.cancelled():
            probing.result()
        self.ready = self.started = False
        reason = "Completed" if code == 0 else "Error"
        times = {"startedAt": began, "finishedAt": _now()}
        self._say({"terminated": {"exitCode": code, "reason": reason, **times, **self._last_words(process, code)}})
        return code

    def _last_words(self, process: Contained, code: int) -> Object:
        if code == 0 or self.spec.get("terminationMessagePolicy") != "FallbackToLogsOnError":
            return {}
        return {"message": process.last_words()}

    async def _started(self) -> Contained:
        while True:
            try:
                return await self._around.start(self.spec)
            except NotYet as missing:
                self._say(_waiting("CreateContainerConfigError", str(missing)))
                await asyncio.sleep(_RETRY)

    async def end(self, grace: float) -> None:
        """preStop, SIGTERM, and SIGKILL when the grace period is over."""
        self._ending = True
        process = self._process
        if process is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(grace):
                if hook := (self.spec.get("lifecycle") or {}).get("preStop"):
                    await self._holds({"timeoutSeconds": grace, **hook}, process)
                process.terminate()
                await process.ended()
        process.kill()
        await process.ended()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    async def _probe(self, process: Contained) -> None:
        if (startup := self.spec.get("startupProbe")) and not await self._starts(startup, process):
            await self._refuse(process)
            return
        self.started = True
        async with asyncio.TaskGroup() as group:
            group.create_task(self._readiness(process))
            if liveness := self.spec.get("livenessProbe"):
                group.create_task(self._liveness(liveness, process))

    async def _starts(self, probe: Object, process: Contained) -> bool:
        """Asked eagerly: the time it has is that of the manifest."""
        patience = probe.get("initialDelaySeconds", 0) + probe["periodSeconds"] * probe["failureThreshold"]
        end = time.monotonic() + patience
        while not await self._holds(probe, process):
            if time.monotonic() > end:
                return False
            await asyncio.sleep(_EAGER)
        return True

    async def _readiness(self, process: Contained) -> None:
        """Eager, and without its first delay, while it is not ready; at the manifest's pace afterwards."""
        probe = self.spec.get("readinessProbe")
        if not probe:
            self._set_ready(ready=True)
            return
        good = bad = 0
        while True:
            holds = await self._holds(probe, process)
            good, bad = (good + 1, 0) if holds else (0, bad + 1)
            if good >= probe["successThreshold"]:
                self._set_ready(ready=True)
            elif bad >= probe["failureThreshold"]:
                self._set_ready(ready=False)
            await asyncio.sleep(probe["periodSeconds"] if self.ready else _EAGER)

    async def _liveness(self, probe: Object, process: Contained) -> None:
        await asyncio.sleep(probe.get("initialDelaySeconds", 0))
        bad = 0
        while bad < probe["failureThreshold"]:
            bad = 0 if await self._holds(probe, process) else bad + 1
            await asyncio.sleep(probe["periodSeconds"] if bad < probe["failureThreshold"] else 0)
        await self._refuse(process)

    async def _refuse(self, process: Contained) -> None:
        process.terminate()
        await asyncio.sleep(self._around.grace)
        process.kill()

    async def _holds(self, probe: Object, process: Contained) -> bool:
        return await self._around.prober.holds(probe, self._around.address, self._ports, process.execute)

    def _set_ready(self, *, ready: bool) -> None:
        if ready != self.ready:
            self.ready = ready
            self._around.changed()

    def _say(self, state: Object) -> None:
        if state != self._state:
            self._state = state
            self._around.changed()


def _waiting(reason: str, message: str) -> dict[str, Any]:
    return {"waiting": {"reason": reason, **({"message": message} if message else {})}}


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
