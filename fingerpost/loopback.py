"""Whether an address is this machine's own: the one judgement behind every port that asks for no credentials."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


def is_loopback(host: str) -> bool:
    """`host` is an IP address, also IPv4 written as IPv6, also with a scope (`%lo`). A name is none: who knows what it
    resolves to.
    """
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
