"""The part of kubectl that the pages use, for machines that have none: `kubectl [--context C] [-n NS] COMMAND ...` with
`apply -f`, `create namespace`, `create secret generic --from-file`, `get -o jsonpath`, `delete`, `rollout status`.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import ssl
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import yaml

from ctl.jsonpath import evaluate
from tests.kube.kube_client import Object, where

_KINDS = {"secret": "Secret", "service": "Service", "deployment": "Deployment"}
_VERSIONS = {"Deployment": "apps/v1"}


def main(arguments: list[str]) -> None:
    given = _parser().parse_args(arguments)
    with _connected(given.context) as http:
        match given.command[:3]:
            case ["apply", *_]:
                for one in yaml.safe_load_all(sys.stdin if given.file == "-" else Path(given.file).read_text()):
                    _apply(http, one)
            case ["create", "namespace", name]:
                _create(http, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            case ["create", "secret", "generic"]:
                data = dict(_from_files(given.from_file))
                metadata = {"name": given.command[3], "namespace": given.namespace}
                _create(http, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data})
            case ["get", word, name]:
                found = http.get(where(_named(word, name, given.namespace))).raise_for_status().json()
                # kubectl writes dots of a key as `\.`, which here is a step in brackets
                path = given.output.removeprefix("jsonpath=").replace(r".ca\.crt", "['ca.crt']")
                print(evaluate(path, found), end="")
            case ["delete", word, name]:
                http.delete(where(_named(word, name, given.namespace))).raise_for_status()
            case ["rollout", "status", what]:
                _rolled_out(http, _named(*what.split("/"), given.namespace), float(given.timeout.removesuffix("s")))
            case other:
                raise SystemExit(f"not known here: {other}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    parser.add_argument("--context")
    parser.add_argument("-n", "--namespace", default="default")
    parser.add_argument("-f", dest="file")
    parser.add_argument("-o", dest="output")
    parser.add_argument("--from-file", action="append", default=[])
    parser.add_argument("--timeout", default="60s")
    parser.add_argument("command", nargs="+")
    return parser


def _connected(context: str | None) -> httpx.Client:
    config = yaml.safe_load(Path(os.environ["KUBECONFIG"]).read_text())
    used = _called(config["contexts"], context or config["current-context"])["context"]
    cluster, user = (_called(config[f"{part}s"], used[part])[part] for part in ("cluster", "user"))
    headers = {"Authorization": f"Bearer {user['token']}"}
    trusted = ssl.create_default_context(cafile=cluster["certificate-authority"])
    return httpx.Client(base_url=cluster["server"], verify=trusted, headers=headers, trust_env=False, timeout=20)


def _called(items: Iterable[Object], name: str) -> Object:
    return next(one for one in items if one["name"] == name)


def _named(word: str, name: str, namespace: str) -> Object:
    kind = _KINDS[word]
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": _VERSIONS.get(kind, "v1"), "kind": kind, "metadata": metadata}


def _apply(http: httpx.Client, obj: Object) -> None:
    answer = http.patch(
        where(obj),
        params={"fieldManager": "kubectl", "fieldValidation": "Strict"},
        headers={"Content-Type": "application/apply-patch+yaml"},
        content=json.dumps(obj),
    )
    _said(obj, answer)


def _create(http: httpx.Client, obj: Object) -> None:
    _said(obj, http.post(where(obj).rpartition("/")[0], json=obj))


def _said(obj: Object, answer: httpx.Response) -> None:
    if answer.is_error:
        raise SystemExit(f"{obj['kind']} {obj['metadata']['name']}: {answer.text}")
    print(f"{obj['kind'].lower()}/{obj['metadata']['name']}")


def _from_files(given: Iterable[str]) -> Iterable[tuple[str, str]]:
    for one in given:
        key, _, file = one.partition("=")
        yield key, base64.b64encode(Path(file).read_bytes()).decode()


def _rolled_out(http: httpx.Client, deployment: Object, patience: float) -> None:
    until = time.monotonic() + patience
    while not _is_rolled_out(http.get(where(deployment)).raise_for_status().json()):
        if time.monotonic() > until:
            raise SystemExit(f"{deployment['metadata']['name']} is not rolled out after {patience:.0f} s")
        time.sleep(0.2)


def _is_rolled_out(found: dict[str, Any]) -> bool:
    status, wanted = found.get("status", {}), found["spec"]["replicas"]
    counts = {status.get(key, 0) for key in ("replicas", "updatedReplicas", "availableReplicas")}
    return bool(status.get("observedGeneration") == found["metadata"]["generation"]) and counts == {wanted}


if __name__ == "__main__":
    main(sys.argv[1:])
