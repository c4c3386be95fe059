"""A pod's volumes as folders, kept in step with the Secrets, ConfigMaps and tokens they show."""

from __future__ import annotations

import base64
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.kube.kube_client import KubeClient
from tests.kube.kubelet.environment import field_of
from tests.kube.kubelet.sandbox import Mount
from tests.kube.kubelet.watched import Name, Object

_RENEW = 0.8  # of a token's life, as the real one does


class NotYet(Exception):
    """Something the pod needs is not there, or is not known here; it is tried again."""


class Sources(NamedTuple):
    """What a node knows and asks for its pods."""

    secrets: Mapping[Name, Object]
    config_maps: Mapping[Name, Object]
    client: KubeClient

    def data(self, kind: str, namespace: str, name: str, *, optional: bool) -> dict[str, bytes]:
        found = (self.secrets if kind == "Secret" else self.config_maps).get((namespace, name))
        if found is None:
            if optional:
                return {}
            raise NotYet(f"{kind} {namespace}/{name} does not exist; create it")
        plain = {} if kind == "Secret" else {key: text.encode() for key, text in (found.get("data") or {}).items()}
        coded = found.get("data") if kind == "Secret" else found.get("binaryData")
        return plain | {key: base64.b64decode(text) for key, text in (coded or {}).items()}


class Volumes:
    def __init__(self, pod: Object, status: Mapping[str, Any], folder: Path, sources: Sources) -> None:
        self._pod, self._status, self._folder, self._sources = pod, status, folder, sources
        self._tokens: dict[str, tuple[float, str]] = {}
        self._round = 0

    async def refresh(self) -> None:
        """Raises NotYet."""
        for volume in self._pod["spec"].get("volumes") or ():
            folder = self._folder / volume["name"]
            folder.mkdir(parents=True, exist_ok=True)
            if "emptyDir" not in volume:
                self._show(folder, await self._content(volume))

    def mounts(self, container: Object) -> list[Mount]:
        volumes = {v["name"]: v for v in self._pod["spec"].get("volumes") or ()}
        out = []
        for mount in container.get("volumeMounts") or ():
            source = self._folder / mount["name"]
            if sub := mount.get("subPath"):
                source /= sub
                if not source.exists():
                    if "emptyDir" not in volumes[mount["name"]]:
                        raise NotYet(f"volume {mount['name']} has no {sub}; correct subPath")
                    source.mkdir(parents=True)
                source = source.resolve()
            read_only = bool(mount.get("readOnly")) or "emptyDir" not in volumes[mount["name"]]
            out.append(Mount(source, mount["mountPath"], read_only))
        return out

    async def _content(self, volume: Object) -> dict[str, tuple[bytes, int]]:
        if "projected" in volume:
            given = volume["projected"]
            parts = [await self._part(source, given.get("defaultMode", 0o644)) for source in given["sources"]]
            return {path: content for part in parts for path, content in part.items()}
        mode = next((v.get("defaultMode", 0o644) for k, v in volume.items() if k != "name"), 0o644)
        return await self._part({k: v for k, v in volume.items() if k != "name"}, mode)

    async def _part(self, source: Object, mode: int) -> dict[str, tuple[bytes, int]]:
        ((kind, given),) = source.items()
        namespace = self._pod["metadata"]["namespace"]
        if kind == "serviceAccountToken":
            return {given["path"]: ((await self._token(given)).encode(), mode)}
        if kind == "downwardAPI":
            return {
                item["path"]: (field_of(self._pod, self._status, item["fieldRef"]["fieldPath"]).encode(), mode)
                for item in given["items"]
            }
        if kind not in ("secret", "configMap"):
            raise NotYet(f"volumes of type {kind} are not known here; use secret, configMap, emptyDir or projected")
        optional = bool(given.get("optional"))
        name = given.get("secretName") or given["name"]
        data = self._sources.data("Secret" if kind == "secret" else "ConfigMap", namespace, name, optional=optional)
        if not (items := given.get("items")):
            return {key: (content, mode) for key, content in data.items()}
        for item in items:
            if item["key"] not in data and not optional:
                raise NotYet(f"{kind} {namespace}/{name} has no key {item['key']}; add it or correct the volume")
        return {i["path"]: (data[i["key"]], i.get("mode", mode)) for i in items if i["key"] in data}

    async def _token(self, given: Object) -> str:
        renew, token = self._tokens.get(given["path"], (0.0, ""))
        if time.time() < renew:
            return token
        metadata, seconds = self._pod["metadata"], given.get("expirationSeconds", 3600)
        account = self._pod["spec"].get("serviceAccountName", "default")
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        audiences = {"audiences": [given["audience"]]} if given.get("audience") else {}
        try:
            answer = await self._sources.client.http.post(
                f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token",
                json={"spec": {"expirationSeconds": seconds, "boundObjectRef": bound, **audiences}},
            )
        except httpx.HTTPError as error:
            raise NotYet(f"the API server gives no token now: {error!r}") from error
        if not answer.is_success:
            raise NotYet(f"no token for ServiceAccount {metadata['namespace']}/{account}: {answer.text}")
        token = answer.json()["status"]["token"]
        self._tokens[given["path"]] = (time.time() + _RENEW * seconds, token)
        return str(token)

    def _show(self, folder: Path, content: Mapping[str, tuple[bytes, int]]) -> None:
        """All at once: files are links into `..data`, which is a link that is replaced, as the real one does."""
        link = folder / "..data"
        if link.exists() and _read(link) == {path: data for path, (data, _) in content.items()}:
            return
        self._round += 1
        old = link.resolve() if link.exists() else None
        new = folder / f"..{self._round}"
        for path, (data, mode) in content.items():
            (new / path).parent.mkdir(parents=True, exist_ok=True)
            (new / path).write_bytes(data)
            (new / path).chmod(mode)
        new.mkdir(exist_ok=True)
        (folder / "..next").symlink_to(new.name)
        (folder / "..next").rename(link)
        tops = {path.partition("/")[0] for path in content}
        for top in tops:
            if not (folder / top).is_symlink():
                (folder / top).symlink_to(f"..data/{top}")
        for entry in folder.iterdir():
            if not entry.name.startswith("..") and entry.name not in tops:
                entry.unlink()
        if old is not None:
            shutil.rmtree(old)


def _read(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}
