"""What a person must see when a kind cannot be read of an API server."""

from __future__ import annotations

from fingerpost.cluster.kubernetes.api import ApiFailed
from fingerpost.cluster.kubernetes.reflector import Scope, refused
from fingerpost.cluster.protocol import Finding

_FORBIDDEN = 403


def finding(scope: Scope, error: ApiFailed) -> Finding:
    if refused(error):
        remedy = "; grant get, list and watch" if error.status == _FORBIDDEN else ""
        said = f"{scope} cannot be read: {error}{remedy}. What is known of them stays in force"
        return Finding(str(scope), "NotAllowed", said)
    return Finding(str(scope), "NotRead", f"{scope} cannot be read now: {error}; it is tried again")


def vanished(type_: str) -> Finding:
    return Finding(
        type_,
        "KindVanished",
        f"the API server serves {type_} no longer; its objects stay in force until the CRD is back, "
        "or until `fingerpost release`",
    )
