"""SecretFacts: what leaves a cluster of a Secret that somebody names (relay.md §2.1): that it is there, its keys, a
keyed hash. Never its data.
"""

from fingerpost.api.base import ApiStruct, ObjectMeta

TYPE = "fingerpost.dev/SecretFacts"


class SecretFactsSpec(ApiStruct, frozen=True):
    """`hmac` changes when the data does; its key never leaves the cluster, so nobody elsewhere can try values against
    it.
    """

    type: str = ""
    keys: tuple[str, ...] = ()
    hmac: str = ""


class SecretFacts(ApiStruct, frozen=True):
    """`metadata` names the Secret."""

    metadata: ObjectMeta
    spec: SecretFactsSpec = SecretFactsSpec()
    api_version: str = "fingerpost.dev/v1"
    kind: str = "SecretFacts"
