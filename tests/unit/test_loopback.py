"""Which addresses count as loopback."""

from __future__ import annotations

import pytest

from fingerpost.loopback import is_loopback


@pytest.mark.spec("M-78")
@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("0:0:0:0:0:0:0:1", True),
        ("::1%lo", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:127.0.0.1%lo", True),
        ("126.255.255.255", False),
        ("128.0.0.1", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("::", False),
        ("::2", False),
        ("fe80::1%lo", False),
        ("::ffff:10.0.0.1", False),
        ("::127.0.0.1", False),
        ("localhost", False),
        ("127.0.0.1:80", False),
        ("[::1]", False),
        ("127.1", False),
        ("", False),
        ("%lo", False),
    ],
)
def test_loopback_is_an_address_of_this_machine(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
