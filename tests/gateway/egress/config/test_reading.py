"""Whole documents: the one that agentgateway loads too, and what is refused."""

import pytest

from gateway.egress.config.model import Connect
from gateway.egress.config.reading import read
from lifecycle.strict import NotUnderstood
from tests.gateway.egress.documents import FACTS, document


def test_the_document_of_both_loads() -> None:
    made = document(FACTS)
    assert made.connect is Connect.TUNNEL
    assert [route.name for route in made.binds[1].listeners[0].routes] == ["models", "read-repos"]
    secret = made.binds[1].listeners[0].routes[1].backends[0].credentials[0].source
    assert secret.value == "ghp_1: #'\"" and "ghp_1" not in repr(made)


def test_routes_attach_to_gateways() -> None:
    made = document(
        "gateways: {default: {port: 80}, web: {port: 81, listeners: [{name: a}, {name: b}]}}\n"
        "routes: [{name: one, backends: [{host: 'h:1'}]}, "
        "{name: two, gateways: web/b, backends: [{host: 'h:1'}]}]"
    )
    names = [[[r.name for r in each.routes] for each in b.listeners] for b in made.binds]
    assert names == [[["one"]], [[], ["two"]]]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "one mapping"),
        ("binds: [{port: 70000, listeners: []}]", "no port"),
        ("binds: [{port: 1, listeners: []}, {port: 1, listeners: []}]", "two are of port 1"),
        ("binds: [{port: 1, listeners: [{protocol: HTTPS}]}]", "tls: is missing"),
        ("binds: [{port: 1, listeners: [{protocol: TLS, routes: [{}]}]}]", "takes tcpRoutes"),
        ("routes: [{backends: [{host: 'h:1'}], gateways: x}]", "no gateway here"),
        ("rouse: {privateAddresses: [10.0.0.1/8]}", "no network"),
        ("frontendPolicies: {networkAuthorization: {rules: ['actr.name == 1']}}", "actr"),
        ("frontendPolicies: {networkAuthorization: {rules: ['nope(1)']}}", "no function"),
        ("frontendPolicies: {networkAuthorization: {rules: ['1 +']}}", "not CEL"),
    ],
)
def test_refusals_say_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        read(text, {})
