"""What a container's environment holds. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.kube.kubelet.watched import Object

_REFERENCE = re.compile(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_LABEL = re.compile(r"metadata\.(labels|annotations)\['(.+)'\]")
Data = Callable[[str, str, bool], dict[str, bytes]]


def expanded(text: str, known: Mapping[str, str]) -> str:
    """$(NAME) as far as it is known, $$ for a dollar."""
    return _REFERENCE.sub(lambda m: "$" if m[0] == "$$" else known.get(m[1], m[0]), text)


def field_of(pod: Object, status: Mapping[str, Any], path: str) -> str:
    """Raises KeyError for a path that is not known here."""
    metadata, spec = pod["metadata"], pod["spec"]
    if found := _LABEL.fullmatch(path):
        return str((metadata.get(found[1]) or {}).get(found[2], ""))
    if path in ("metadata.labels", "metadata.annotations"):
        return "\n".join(f'{k}="{v}"' for k, v in sorted((metadata.get(path.partition(".")[2]) or {}).items()))
    return {
        "metadata.name": str(metadata["name"]),
        "metadata.namespace": str(metadata["namespace"]),
        "metadata.uid": str(metadata["uid"]),
        "spec.nodeName": str(spec.get("nodeName", "")),
        "spec.serviceAccountName": str(spec.get("serviceAccountName", "")),
        "status.podIP": str(status.get("podIP", "")),
        "status.podIPs": str(status.get("podIP", "")),
        "status.hostIP": str(status.get("hostIP", "")),
    }[path]


def environment(container: Object, base: Mapping[str, str], field: Callable[[str], str], data: Data) -> dict[str, str]:
    """`data(kind, name, optional)` is what a Secret or ConfigMap holds."""
    out = dict(base)
    for source in container.get("envFrom") or ():
        kind, ref = ("Secret", source["secretRef"]) if "secretRef" in source else ("ConfigMap", source["configMapRef"])
        found = data(kind, ref["name"], bool(ref.get("optional")))
        out |= {source.get("prefix", "") + key: value.decode() for key, value in found.items()}
    for entry in container.get("env") or ():
        value = _value(entry, out, field, data)
        if value is not None:
            out[entry["name"]] = value
    return out


def _value(entry: Object, known: Mapping[str, str], field: Callable[[str], str], data: Data) -> str | None:
    given = entry.get("valueFrom")
    if not given:
        return expanded(entry.get("value", ""), known)
    if "fieldRef" in given:
        return field(given["fieldRef"]["fieldPath"])
    for name, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
        if name in given:
            ref = given[name]
            found = data(kind, ref["name"], bool(ref.get("optional"))).get(ref["key"])
            if found is None and not ref.get("optional"):
                raise KeyError(f"{kind} {ref['name']} has no key {ref['key']}")
            return None if found is None else found.decode()
    raise KeyError(f"env {entry['name']}: {', '.join(given)} is not known here")
