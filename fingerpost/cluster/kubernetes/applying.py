"""Server-side apply of what this system writes (relay.md §8.4).

An object is ours when it carries our marks. One of the same name without them is never touched, whatever is wanted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from fingerpost.cluster.kubernetes import answers
from fingerpost.cluster.kubernetes.api import APPLY, Api, ApiFailed
from fingerpost.cluster.kubernetes.discovery import Resource
from fingerpost.cluster.kubernetes.reflector import missing
from fingerpost.cluster.protocol import NotWritten, Why
from fingerpost.objects import ObjectKey, canonical, trim

_CONFLICT, _INVALID = 409, 422
_REFUSED = (400, 403, _INVALID)
_UNTYPED = "failed to create typed patch object"  # a wrong type in an apply, which is answered with 500


class Applying:
    """`marks` are the labels by which an object is known to be ours. Its uid goes with every write, so that an object
    which another one has put in its place meanwhile is not overwritten.
    """

    def __init__(self, api: Api, manager: str, marks: Mapping[str, str]) -> None:
        self._api, self._manager, self.marks = api, manager, dict(marks)
        self._uids: dict[ObjectKey, str] = {}

    def ours(self, obj: Mapping[str, Any]) -> bool:
        labels = obj.get("metadata", {}).get("labels") or {}
        return bool(self.marks) and all(labels.get(name) == value for name, value in self.marks.items())

    async def own(self, resource: Resource) -> list[bytes]:
        selector = ",".join(f"{name}={value}" for name, value in self.marks.items())
        page = await self._api.get(resource.where(), answers.page, {"labelSelector": selector})
        head = {"apiVersion": resource.api_version, "kind": resource.type.rpartition("/")[2]}
        return [canonical(trim(resource.type, {**head, **answers.mapping(item)})) for item in page.items or ()]

    async def apply(self, resource: Resource, key: ObjectKey, obj: Mapping[str, Any], held: bytes | None) -> bytes:
        """The trimmed body as the API server has it now; `held` as the watch has told it last. Raises NotWritten."""
        path = resource.where(key.namespace, key.name)
        if key not in self._uids or not self._known(key, held):
            await self._look(path, key)
        try:
            return await self._patch(path, resource, key, obj)
        except ApiFailed as error:
            if not _another(error):
                raise _not_written(key, error) from error
        # it is another object than the one that we knew: look before touching it
        await self._look(path, key)
        try:
            return await self._patch(path, resource, key, obj)
        except ApiFailed as error:
            raise _not_written(key, error) from error

    async def create(self, resource: Resource, key: ObjectKey, obj: Mapping[str, Any]) -> bool:
        """False when there is one of that name, whoever made it. Raises NotWritten."""
        body = {**obj, "apiVersion": resource.api_version, "kind": key.kind}
        try:
            await self._api.post(resource.where(key.namespace), body, answers.stored, {"fieldManager": self._manager})
        except ApiFailed as error:
            if error.status == _CONFLICT:
                return False
            raise _not_written(key, error) from error
        return True

    async def annotate(self, resource: Resource, key: ObjectKey, uid: str, annotations: Mapping[str, str]) -> None:
        """Of an object of the users', without force. Raises ApiFailed."""
        named = {"name": key.name, "namespace": key.namespace, "uid": uid, "annotations": annotations}
        body = {"apiVersion": resource.api_version, "kind": key.kind, "metadata": named}
        path = resource.where(key.namespace, key.name)
        try:
            await self._api.patch(path, body, APPLY, answers.stored, {"fieldManager": self._manager})
        except ApiFailed as error:
            if not (missing(error) or error.status == _CONFLICT):
                raise

    async def remove(self, resource: Resource, key: ObjectKey) -> None:
        """Nothing happens when it is gone already. Raises NotWritten."""
        path = resource.where(key.namespace, key.name)
        try:
            await self._look(path, key)
            if uid := self._uids.pop(key, ""):
                await self._api.delete(path, {"preconditions": {"uid": uid}})
        except ApiFailed as error:
            if not missing(error):
                raise _not_written(key, error) from error

    def _known(self, key: ObjectKey, held: bytes | None) -> bool:
        """Whether nobody has put another object there since, or taken our marks off."""
        if held is None:
            return True  # if it is gone, the uid that is sent tells
        found = msgspec.json.decode(held)
        return self.ours(found) and found["metadata"].get("uid") == self._uids[key]

    async def _look(self, path: str, key: ObjectKey) -> None:
        """Learn the uid of what is there. Raises NotWritten when it is somebody else's."""
        self._uids.pop(key, None)
        try:
            found = await self._api.get(path, answers.stored)
        except ApiFailed as error:
            if missing(error):
                return
            raise _not_written(key, error) from error
        if not self.ours(found):
            text = f"{key} exists and was not written by this system; rename or remove one of them"
            raise NotWritten(Why.NAME_CONFLICT, text)
        self._uids[key] = found["metadata"]["uid"]

    async def _patch(self, path: str, resource: Resource, key: ObjectKey, obj: Mapping[str, Any]) -> bytes:
        uid = self._uids.get(key)
        metadata = {**obj["metadata"], **({"uid": uid} if uid else {})}
        labels = {**(metadata.get("labels") or {}), **self.marks}
        body = {
            **obj,
            "apiVersion": resource.api_version,
            "kind": key.kind,
            "metadata": {**metadata, "labels": labels},
        }
        # what nobody had made when we looked may be somebody's now: without force that is a conflict
        query = {"fieldManager": self._manager, "force": "true" if uid else "false"}
        found = await self._api.patch(path, body, APPLY, answers.stored, query)
        self._uids[key] = found["metadata"]["uid"]
        return canonical(trim(key.type, found))


def _another(error: ApiFailed) -> bool:
    """The object has not the uid that was sent, or somebody has made one where there was none."""
    return error.status == _CONFLICT or (error.status == _INVALID and "metadata.uid" in str(error))


def _not_written(key: ObjectKey, error: ApiFailed) -> NotWritten:
    if missing(error):
        text = f'{key} waits: namespace "{key.namespace}" does not exist in this cluster; create it'
        return NotWritten(Why.NAMESPACE_MISSING, text)
    if error.status in _REFUSED or _UNTYPED in str(error):
        return NotWritten(Why.REFUSED, f"{key} was refused: {error}")
    return NotWritten(Why.UNAVAILABLE, f"{key} cannot be written now: {error}", error.retry_after)
