"""What a client sees on the listeners of a VirtualGateway, in a real Envoy."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest
from listener_envoy import EASTWEST_PORT, SNI, Client, running

from tests.conformance.route_forms import BOTH

pytestmark = pytest.mark.envoy

LISTENERS = """
- {http: {}, port: {number: 80}, httpsRedirect: true, allowedRouteTables: [{host: '*.shop.example'}]}
- {http: {}, port: {number: 81}}
- {http: {}, port: {number: 82}}
- {http: {}, port: {number: 443}, tls: {mode: SIMPLE, secretName: a}, allowedRouteTables: [{host: a.example}]}
- {http: {}, port: {number: 443}, tls: {mode: SIMPLE, secretName: b}, allowedRouteTables: [{host: b.example}]}
- {http: {}, port: {number: 444}, tls: {mode: MUTUAL, secretName: edge-mtls}}
- http: {}
  port: {number: 445}
  tls: {mode: SIMPLE, secretName: strict, parameters: {minimumProtocolVersion: TLSv1_3}}
"""
HOSTS = {
    "http.80": ("www.shop.example",),
    "http.81": ("www.shop.example",),
    "https.443.https-443-a-example.edge.gw-config": ("a.example",),
    "https.443.https-443-b-example.edge.gw-config": ("b.example",),
    "https.444.https-444-all.edge.gw-config": ("*",),
    "https.445.https-445-all.edge.gw-config": ("*",),
}
CLOSED = (ssl.SSLError, ConnectionError)


@pytest.fixture(scope="module", params=BOTH)
def client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running(tmp_path_factory.mktemp("listeners"), LISTENERS, HOSTS, request.param) as it:
        yield it


@pytest.mark.spec("R-32")
def test_a_redirect_keeps_host_path_and_query(client: Client) -> None:
    status, headers, _ = client.get(80, "www.shop.example", "/cart?id=1")
    assert (status, headers["location"]) == (301, "https://www.shop.example/cart?id=1")


@pytest.mark.spec("R-33")
def test_no_route_is_reached_behind_a_redirect_and_no_table_is_needed(client: Client) -> None:
    assert client.get(81, "www.shop.example")[2] == "http.81 www.shop.example"
    for host in ("www.shop.example", "unbound.shop.example"):
        status, _, body = client.get(80, host)
        assert (status, body) == (301, "")
    assert client.get(80, "other.example")[0] == 404


@pytest.mark.spec("R-40")
def test_a_port_in_the_host_header_is_no_obstacle(client: Client) -> None:
    assert client.get(81, "www.shop.example:8443")[::2] == (200, "http.81 www.shop.example")


@pytest.mark.spec("R-42")
def test_a_listener_without_tables_answers_404(client: Client) -> None:
    status, headers, _ = client.get(82, "www.shop.example")
    assert (status, headers["server"]) == (404, "envoy")


@pytest.mark.spec("R-41", "R-15")
def test_the_name_asked_for_chooses_the_certificate(client: Client) -> None:
    for name in ("a", "b"):
        names, answer = client.exchange(443, f"{name}.example")
        assert names == [f"{name}.example"]
        assert answer.startswith(b"HTTP/1.1 200")
    with pytest.raises(CLOSED):
        client.exchange(443, "c.example")


@pytest.mark.spec("R-43")
def test_mutual_tls_wants_a_certificate_of_the_ca(client: Client) -> None:
    assert client.exchange(444, "any.example", certificate="client")[1].startswith(b"HTTP/1.1 200")
    for certificate in ("", "stranger"):
        with pytest.raises(CLOSED):
            client.exchange(444, "any.example", certificate=certificate)


@pytest.mark.spec("R-21")
def test_the_minimum_version_refuses_older_clients(client: Client) -> None:
    assert client.exchange(445, "any.example")[1].startswith(b"HTTP/1.1 200")
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        client.exchange(445, "any.example", newest=ssl.TLSVersion.TLSv1_2)
    assert client.exchange(443, "a.example", newest=ssl.TLSVersion.TLSv1_2)[1].startswith(b"HTTP/1.1 200")


@pytest.mark.spec("D-27")
def test_an_east_west_connection_reaches_only_what_is_exposed(client: Client) -> None:
    sent = [b"hello\n", b"x" * 1_000_000 + b"\n"]
    for data in sent:
        _, answer = client.exchange(EASTWEST_PORT, SNI, certificate="client", data=data)
        assert answer == b"got %d" % len(data)
    for name, certificate in (("outbound_.80_._.b.global", "client"), (SNI, ""), (SNI, "stranger")):
        with pytest.raises(CLOSED):
            client.exchange(EASTWEST_PORT, name, certificate=certificate, data=b"not for you\n")
    assert client.reached == sent, "no pod saw even a connection of the others"
