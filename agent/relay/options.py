"""Which of the options 0 to 5 of relay.md §5.3 the settings of an agent want."""

from __future__ import annotations

from agent.relay.plaintext import Plaintext
from agent.relay.trust import Plan, SecretTrust, Trust
from agent.settings import Settings
from fingerpost.secrets.protocol import Secrets, SecretsFailed


def chosen_trust(settings: Settings, uid: str, secrets: Secrets) -> Trust:
    """Raises SecretsFailed for settings that contradict each other."""
    if settings.insecure:
        if settings.relay_token or settings.disable_server_certificate_validation:
            name = "relay_token" if settings.relay_token else "disable_server_certificate_validation"
            raise SecretsFailed(f"insecure is true, so {name} has no effect; leave one of the two")
        return Plaintext(settings.server_address, settings.authority)
    plan = Plan(
        cluster=settings.cluster,
        cluster_uid=uid,
        address=settings.server_address,
        authority=settings.authority,
        root=settings.root_tls_secret,
        client=settings.client_tls_secret,
        token=settings.token_secret,
        token_key=settings.token_secret_key,
        relay_token=settings.relay_token,
        validates=not settings.disable_server_certificate_validation,
        ratio=settings.client_tls_secret_rotation_grace_period_ratio,
    )
    return SecretTrust(secrets, plan)
