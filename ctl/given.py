"""What was given with flags, looked at before any cluster is asked: each mistake names flag, value and remedy.

What only a chart or a cluster can know is not here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec

from ctl.exits import usage
from fingerpost.api.limits import CLUSTER_NAME, CLUSTER_NAME_RULE
from fingerpost.config import NamespaceName, PeerAddress
from fingerpost.yaml_errors import in_one_line

_RELEASE = re.compile(r"(?=.{1,53}\Z)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")
_URL = re.compile(r"[a-z][a-z0-9+.-]*://")
VALUES_FLAG = "--chart-values-file"


def cluster(flag: str, value: str) -> None:
    """`flag` empty: the name is an argument. Raises Failed."""
    if re.fullmatch(CLUSTER_NAME, value) is None:
        what = f'{flag} is "{value}"' if flag else f'the name of the cluster is "{value}"'
        raise usage(f"{what}, it must be {CLUSTER_NAME_RULE}", "choose another name")


def namespace(flag: str, value: str) -> None:
    """Raises Failed."""
    _of_type(flag, value, NamespaceName, "name another namespace")


def addresses(flag: str, value: str) -> None:
    """One, or several separated by commas. Raises Failed."""
    for one in value.split(","):
        _of_type(flag, one.strip(), PeerAddress, "write the address of the relay as the workload cluster reaches it")


def domain(flag: str, value: str) -> None:
    """Raises Failed."""
    if _DOMAIN.fullmatch(value) is None:
        raise usage(f'{flag} is "{value}", which is no DNS name', "write one such as cluster.local")


def release(flag: str, value: str) -> None:
    """Raises Failed."""
    if _RELEASE.fullmatch(value) is None:
        remedy = "write 1 to 53 lower-case letters, digits, - and ."
        raise usage(f'{flag} is "{value}", which is no name of a release', remedy)


def values_files(files: Sequence[str]) -> None:
    """Raises Failed. What Helm has to fetch it looks at itself."""
    import yaml

    for file in files:
        if _URL.match(file):
            continue
        path = Path(os.path.expanduser(file))
        if file == "-":
            raise usage(f"{VALUES_FLAG} is -, and values are not read from standard input", "name a file")
        if not path.exists():
            raise usage(f"{VALUES_FLAG} is {file}, which does not exist", "name a file of values for the chart")
        try:
            found = yaml.load(path.read_bytes(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
        except OSError as e:
            raise usage(
                f"{VALUES_FLAG} is {file}, which cannot be read: {e.strerror}", "name a file that you can read"
            ) from e
        except yaml.YAMLError as e:
            raise usage(f"{VALUES_FLAG} is {file}, which is not YAML: {in_one_line(e)}", "correct the file") from e
        if found is not None and not isinstance(found, dict):
            message = f"{VALUES_FLAG} is {file}, which holds no values but a {type(found).__name__}"
            raise usage(message, "write NAME: VALUE lines, as in the values.yaml of the chart")


def _of_type(flag: str, value: str, type_: Any, remedy: str) -> None:
    try:
        msgspec.convert(value, type_)
    except msgspec.ValidationError:
        (meta,) = (m for m in get_args(type_) if isinstance(m, msgspec.Meta))
        raise usage(f'{flag} is "{value}", it must be {meta.description}', remedy) from None
