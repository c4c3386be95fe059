"""Who may ask for a gateway's configuration (design D16): the holder of its token, or a pod of its service account."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

import structlog

from agent.xds.tokens import GatewayTokens
from fingerpost.cluster.protocol import Account, ClusterFailed, Outputs

log = structlog.get_logger()


class Caller(NamedTuple):
    """`name` is what a person is told; `may` whether it may be served as a proxy of the gateway "namespace/name"."""

    name: str
    may: Callable[[str], bool]


class Callers(Protocol):
    async def who(self, token: str) -> Caller | None:
        """None: nobody is known by this token."""
        ...


class TokenCallers:
    """The token of each gateway."""

    def __init__(self, tokens: GatewayTokens) -> None:
        self._tokens = tokens

    async def who(self, token: str) -> Caller | None:
        gateway = self._tokens.gateway_of(token)
        return None if gateway is None else Caller(f"gateway {gateway}", gateway.__eq__)


class AccountCallers:
    """Service-account tokens, which the API server judges; besides, what `others` know. `accounts_of` a gateway are
    those of its pods.
    """

    def __init__(self, outputs: Outputs, accounts_of: Callable[[str], Collection[str]], others: Callers) -> None:
        self._outputs, self._accounts_of, self._others = outputs, accounts_of, others

    async def who(self, token: str) -> Caller | None:
        if (known := await self._others.who(token)) is not None:
            return known
        try:
            account = await self._outputs.account_of(token)
        except ClusterFailed as failed:
            log.warning("xds.token.unjudged", reason=str(failed))
            return None
        return None if account is None else self._as_account(account)

    def _as_account(self, account: Account) -> Caller:
        def may(gateway: str) -> bool:
            return gateway.partition("/")[0] == account.namespace and account.name in self._accounts_of(gateway)

        return Caller(f"service account {account.namespace}/{account.name}", may)
