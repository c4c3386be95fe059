"""What is an IP address and what a range of them."""

from __future__ import annotations

import ipaddress


def is_ip(text: str) -> bool:
    """No zones (fe80::1%eth0) and no IPv4 in the clothes of IPv6 (::ffff:192.0.2.1): the API server takes neither."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text and getattr(address, "ipv4_mapped", None) is None


def is_ip_or_range(text: str) -> bool:
    address, slash, length = text.partition("/")
    if not slash:
        return is_ip(text)
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return is_ip(address) and length.isdecimal()
