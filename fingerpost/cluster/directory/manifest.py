"""One file of manifests to the objects in it: checks what an API server would refuse, fills in what it would fill in.

Pure. What is wrong becomes a Finding; the other documents of the file stay usable. Unknown kinds pass, with a finding
when they look like a kind of ours.
"""

from __future__ import annotations

import base64
import binascii
import re
import sys
from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

from fingerpost.api.likeness import doubt
from fingerpost.api.limits import LARGEST_ANNOTATIONS, LARGEST_OBJECT, mebibytes
from fingerpost.cluster.directory.documents import NotYaml, documents
from fingerpost.cluster.protocol import Finding
from fingerpost.labels import key_problem, label_problem
from fingerpost.objects import ObjectKey, canonical, trim, type_of
from fingerpost.problems import sayable

NAMESPACE_TYPE = "core/Namespace"
SECRET_TYPE = "core/Secret"
NAME_LABEL = "kubernetes.io/metadata.name"
DUPLICATE = "DuplicateObject"  # the code of such a finding
_CLUSTER_SCOPED = frozenset(
    {
        NAMESPACE_TYPE,
        "core/Node",
        "core/PersistentVolume",
        "admissionregistration.k8s.io/MutatingWebhookConfiguration",
        "admissionregistration.k8s.io/ValidatingAdmissionPolicy",
        "admissionregistration.k8s.io/ValidatingAdmissionPolicyBinding",
        "admissionregistration.k8s.io/ValidatingWebhookConfiguration",
        "apiextensions.k8s.io/CustomResourceDefinition",
        "apiregistration.k8s.io/APIService",
        "certificates.k8s.io/CertificateSigningRequest",
        "gateway.networking.k8s.io/GatewayClass",
        "networking.k8s.io/IngressClass",
        "node.k8s.io/RuntimeClass",
        "rbac.authorization.k8s.io/ClusterRole",
        "rbac.authorization.k8s.io/ClusterRoleBinding",
        "scheduling.k8s.io/PriorityClass",
        "storage.k8s.io/CSIDriver",
        "storage.k8s.io/StorageClass",
    }
)
_API_VERSION = re.compile(r"(?:[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/)?v[a-z0-9]+")
_KIND = re.compile(r"[A-Za-z][A-Za-z0-9]{0,62}")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
_NAME_LIMIT = 253


class ManifestObject(NamedTuple):
    """`content` is the canonical trimmed JSON without what the cluster adds (uid, generation); `spec` hashes what
    counts for generation.
    """

    key: ObjectKey
    content: bytes
    spec: bytes


class Manifest(NamedTuple):
    """`broken`: nothing could be read. `flawed`: some documents could not, so absence from `objects` proves nothing.

    `doubted`: apiVersion or kind is probably misspelled, so an object of that name may have been meant. The findings of
    these keep the doubted key.
    """

    objects: tuple[ManifestObject, ...]
    findings: tuple[Finding, ...]
    broken: bool = False
    flawed: bool = False
    doubted: frozenset[ObjectKey] = frozenset()

    def over(self, last: Iterable[ManifestObject]) -> tuple[ManifestObject, ...]:
        """The objects in force when those of `last` were: what cannot be read, or is doubted, takes nothing away."""
        if self.broken:
            return tuple(last)
        before = {one.key: one for one in last}
        given = {one.key: before.get(one.key, one) if one.key in self.doubted else one for one in self.objects}
        names = {(key.namespace, key.name) for key in self.doubted}
        kept = {
            key: one
            for key, one in before.items()
            if key not in given and (self.flawed or (key.namespace, key.name) in names)
        }
        return (*given.values(), *kept.values())

    def told(self, last: Iterable[ManifestObject]) -> tuple[Finding, ...]:
        """`findings`, each with the objects of `last` that stay in force because of it."""
        before = tuple(last)
        sound = {one.key for one in self.objects} - self.doubted
        older = {one.key for one in before}.intersection(one.key for one in self.over(before)) - sound
        meant = {(key.namespace, key.name) for key in self.doubted}
        rest = frozenset(key for key in older if (key.namespace, key.name) not in meant)

        def keeps(found: Finding) -> frozenset[ObjectKey]:
            if found.code == DUPLICATE:
                return found.keeps
            names = {(key.namespace, key.name) for key in found.keeps}
            return frozenset(key for key in older if (key.namespace, key.name) in names) if names else rest

        return tuple(found._replace(keeps=keeps(found)) for found in self.findings)


class _Refused(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def read_manifest(source: str, data: bytes, cluster: str) -> Manifest:
    try:
        found = documents(data)
    except NotYaml as error:
        message = (
            f"file {source}, line {error.line}: {error.reason}; repair the file, until then the objects that it held "
            "when it could last be read stay in force"
        )
        return Manifest((), (Finding(source, "NotYaml", message),), broken=True)
    objects: dict[ObjectKey, ManifestObject] = {}
    findings: list[Finding] = []
    doubted: set[ObjectKey] = set()
    flawed = False
    for number, line, value in found:
        for where, item in _items(f"file {source}, document {number} (line {line})", value):
            try:
                one = _object(item, cluster)
            except _Refused as refused:
                findings.append(Finding(source, refused.code, sayable(f"{where}: {refused}")))
                flawed = True
                continue
            if one.key in objects:
                message = f"{where}: {one.key} is in this file twice; the first stays in force, remove one of them"
                findings.append(Finding(source, DUPLICATE, message, frozenset({one.key})))
                continue
            objects[one.key] = one
            if (wrong := doubt(item["apiVersion"], item["kind"])) is not None:
                message = (
                    f"{where}: {one.key} has no effect: {wrong.message}; correct {wrong.path}, until then what the "
                    "file held under this name stays in force"
                )
                findings.append(Finding(source, wrong.code, message, frozenset({one.key})))
                doubted.add(one.key)
    return Manifest(tuple(objects.values()), tuple(findings), flawed=flawed, doubted=frozenset(doubted))


def read_object(value: Any, cluster: str) -> ManifestObject | tuple[str, str]:
    """One object that is parsed already; what is wrong with it comes back as a code and a message."""
    try:
        return _object(value, cluster)
    except _Refused as refused:
        return refused.code, str(refused)


def _items(where: str, value: Any) -> list[tuple[str, Any]]:
    """A `List` stands for its items."""
    if not (isinstance(value, dict) and value.get("kind") == "List" and isinstance(value.get("items"), list)):
        return [(where, value)]
    out: list[tuple[str, Any]] = []
    for i, item in enumerate(value["items"]):
        out += _items(f"{where}, items[{i}]", item)
    return out


def _shown(value: Any) -> str:
    text = f'"{value}"' if isinstance(value, str) else canonical(value).decode()
    return text if len(text) <= 80 else text[:77] + "..."


def _mapping(owner: Mapping[str, Any], name: str, path: str) -> dict[str, Any]:
    value = owner.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _Refused("WrongType", f"{path} must be a mapping, not {_shown(value)}")
    return value


def _text(owner: Mapping[str, Any], name: str, path: str, remedy: str) -> str:
    value = owner.get(name)
    if value is None or value == "":
        raise _Refused("FieldMissing", f"{path} is missing; {remedy}")
    if not isinstance(value, str):
        raise _Refused("WrongType", f"{path} must be text, not {_shown(value)}; put it in quotes")
    return value


def _object(value: Any, cluster: str) -> ManifestObject:
    if not isinstance(value, dict):
        raise _Refused(
            "NotAnObject", f"an object must be a mapping with apiVersion, kind and metadata, not {_shown(value)}"
        )
    api_version = _text(value, "apiVersion", "apiVersion", 'say for example "networking.gloo.solo.io/v2"')
    kind = _text(value, "kind", "kind", 'say for example "RouteTable"')
    if not _API_VERSION.fullmatch(api_version):
        raise _Refused(
            "WrongValue",
            f'apiVersion {_shown(api_version)} is not of the form "group/v1" or "v1"; write for example '
            '"networking.gloo.solo.io/v2"',
        )
    if not _KIND.fullmatch(kind):
        raise _Refused("WrongValue", f"kind {_shown(kind)} is not the name of a kind; write for example RouteTable")
    type_ = type_of(api_version, kind)
    metadata = _mapping(value, "metadata", "metadata")
    name = _text(metadata, "name", "metadata.name", f"give the {kind} a name")
    if not _named_well(type_, name):
        raise _Refused(
            "WrongValue",
            f'metadata.name {_shown(name)} must be at most {_NAME_LIMIT} lower-case letters, digits, "-" and "."',
        )
    namespace = _namespace(type_, metadata)
    for field in ("labels", "annotations"):
        for label, text in _mapping(metadata, field, f"metadata.{field}").items():
            if not isinstance(text, str):
                path = f'metadata.{field}["{label}"]'
                raise _Refused("WrongType", f"{path} must be text, not {_shown(text)}; put it in quotes")
            # Kubernetes reads the keys of annotations as if they were in lower case.
            problem = label_problem(label, text) if field == "labels" else key_problem(label.lower())
            if problem:
                raise _Refused("WrongValue", f"metadata.{field}: {problem}")
    noted = sum(len(key.encode()) + len(text.encode()) for key, text in (metadata.get("annotations") or {}).items())
    if noted > LARGEST_ANNOTATIONS:
        raise _Refused(
            "TooLarge",
            f"metadata.annotations of {kind} {_shown(name)} have {noted} bytes together, at most "
            f"{mebibytes(LARGEST_ANNOTATIONS)} are allowed; shorten or remove some",
        )
    given = {k: v for k, v in metadata.items() if k != "generation" and v is not None} | {"name": name}
    given.pop("namespace", None)
    if namespace:
        given["namespace"] = namespace
    filled = _filled_in(type_, value | {"metadata": given})
    trimmed = trim(type_, filled)
    spec = {k: v for k, v in trimmed.items() if k not in ("metadata", "status")}
    key = ObjectKey(type_, cluster, namespace, name)
    body = canonical(trimmed)
    if len(body) > LARGEST_OBJECT:
        raise _Refused(
            "TooLarge",
            f"{key} has {len(body)} bytes as JSON, at most {mebibytes(LARGEST_OBJECT)} are carried; split it into "
            "several objects",
        )
    return ManifestObject(key, body, blake2b(canonical(spec), digest_size=16).digest())


def _named_well(type_: str, name: str) -> bool:
    if len(name) > _NAME_LIMIT:
        return False
    if type_.startswith("rbac.authorization.k8s.io/"):
        return name not in (".", "..") and not set(name) & set("/%\0")
    return _SUBDOMAIN.fullmatch(name) is not None


def _namespace(type_: str, metadata: Mapping[str, Any]) -> str:
    if type_ in _CLUSTER_SCOPED:
        return ""
    namespace = metadata.get("namespace")
    if namespace is None or namespace == "":
        return "default"
    if not isinstance(namespace, str):
        raise _Refused("WrongType", f"metadata.namespace must be text, not {_shown(namespace)}; put it in quotes")
    if not _LABEL.fullmatch(namespace):
        raise _Refused(
            "WrongValue",
            f'metadata.namespace {_shown(namespace)} must be at most 63 lower-case letters, digits and "-"',
        )
    return sys.intern(namespace)  # thousands of objects have the same


def _filled_in(type_: str, obj: dict[str, Any]) -> dict[str, Any]:
    """What an API server writes into an object by itself and others rely on."""
    if type_ == NAMESPACE_TYPE:
        metadata = obj["metadata"]
        labels = {**(metadata.get("labels") or {}), NAME_LABEL: metadata["name"]}
        return obj | {"metadata": metadata | {"labels": labels}}
    if type_ == SECRET_TYPE:
        return _secret(obj)
    return obj


def _secret(obj: dict[str, Any]) -> dict[str, Any]:
    """`stringData` goes into `data`. Messages here name keys, never values."""
    data = dict(_mapping(obj, "data", "data"))
    for key, encoded in data.items():
        try:
            if not isinstance(encoded, str):
                raise TypeError
            data[key] = base64.b64encode(base64.b64decode("".join(encoded.split()), validate=True)).decode()
        except (TypeError, binascii.Error, ValueError):
            raise _Refused("WrongValue", f'data["{key}"] is not base64; encode it or use stringData') from None
    for key, text in _mapping(obj, "stringData", "stringData").items():
        if not isinstance(text, str):
            raise _Refused("WrongType", f'stringData["{key}"] must be text; put it in quotes')
        data[key] = base64.b64encode(text.encode()).decode()
    out = {k: v for k, v in obj.items() if k not in ("stringData", "data")}
    return out | {"data": data}


def declared_by_use(namespace: str, cluster: str) -> ManifestObject:
    """A namespace exists as soon as an object is in it."""
    obj = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace, "labels": {NAME_LABEL: namespace}},
    }
    return _object(obj, cluster)
