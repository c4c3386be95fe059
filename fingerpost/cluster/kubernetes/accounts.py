"""Asks an API server whose token it is (TokenReview)."""

from __future__ import annotations

import msgspec

from fingerpost.cluster.kubernetes.api import Api
from fingerpost.cluster.protocol import Account

_PATH = "/apis/authentication.k8s.io/v1/tokenreviews"
_ACCOUNT = "system:serviceaccount:"


class _User(msgspec.Struct, frozen=True):
    username: str = ""


class _Status(msgspec.Struct, frozen=True):
    authenticated: bool = False
    user: _User = _User()


class _Review(msgspec.Struct, frozen=True):
    status: _Status = _Status()


_reviews = msgspec.json.Decoder(_Review)


async def reviewed(api: Api, token: str) -> Account | None:
    """None: the API server does not know the token, or it is no service account's. Raises ApiFailed."""
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    status = (await api.post(_PATH, asked, _reviews.decode)).status
    if not status.authenticated or not status.user.username.startswith(_ACCOUNT):
        return None
    namespace, _, name = status.user.username.removeprefix(_ACCOUNT).partition(":")
    return Account(namespace, name)
