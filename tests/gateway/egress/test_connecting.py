"""CONNECT as a request of a route: its policies are asked before anything is opened."""

from pathlib import Path

import pytest

from gateway.egress.connecting import connect
from gateway.egress.refusals import Refusal, Refused
from tests.gateway.egress.documents import ask, document
from tests.gateway.egress.world import auth, origin, running

ROUTED = """
frontendPolicies: {connect: {mode: route}}
binds:
- port: 3128
  listeners:
  - routes:
    - hostnames: [api.test]
      policies: {apiKey: {mode: strict, keys: [{key: sk-a}], location: {header: {name: x-key}}}}
      backends: [{host: "127.0.0.1:%d"}]
"""


async def test_a_routes_gate_is_before_the_tunnel(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, ROUTED % out.port) as world:
            talk = await world.open()
            head = f"CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n{auth('t1')}"
            talk.say(head + "\r\n")
            status, _head, body = await talk.whole()
            assert status == 401 and body.startswith(b"api key authentication failure")
            talk.say(head + "X-Key: sk-a\r\n\r\n")
            assert (await talk.head()).startswith(b"HTTP/1.1 200 ")
            talk.close()


def test_weights_choose_where_it_is_passed_to() -> None:
    made = document(
        "binds: [{port: 443, mode: internal, listeners: [{protocol: TLS, tcpRoutes: "
        "[{backends: [{host: 'a:1', weight: 0}, {host: 'b:2', weight: 3}]}]}]}, "
        "{port: 1, tunnelProtocol: connect, listeners: []}]"
    )
    found = {connect(made, ask("x.com", port=443)).host for _ in range(20)}
    assert found == {"b"}


def test_a_route_that_sends_nothing_anywhere_is_told() -> None:
    made = document(
        "binds: [{port: 443, mode: internal, listeners: [{protocol: TLS, tcpRoutes: "
        "[{backends: [{host: 'a:1', weight: 0}]}]}]}, "
        "{port: 1, tunnelProtocol: connect, listeners: []}]"
    )
    with pytest.raises(Refusal) as caught:
        connect(made, ask("x.com", port=443))
    assert caught.value.what is Refused.NO_BACKEND


async def test_tls_may_be_added_to_what_is_passed_through(tmp_path: Path) -> None:
    async with origin(tmp_path) as out:
        text = f"""
frontendPolicies: {{connect: {{mode: tunnel}}}}
binds:
- port: 443
  mode: internal
  listeners:
  - protocol: TLS
    tcpRoutes:
    - hostnames: [api.test]
      policies: {{backendTLS: {{root: "{out.ca}", hostname: api.test}}}}
      backends: [{{host: "127.0.0.1:{out.port}"}}]
"""
        async with running(tmp_path, text) as world:
            talk = await world.connect("api.test:443")
            assert talk.answer.startswith(b"HTTP/1.1 200 ")
            # The actor's own hello goes inside: to this server it is no HTTP.
            assert out.connections == 1
            talk.close()
