"""Which route wins, as agentgateway says it."""

import pytest

from gateway.egress.ask import Ask
from gateway.egress.routing import bind_of, listener_for, route_for
from tests.gateway.egress.documents import ask, document, http


def _named(name: str, more: str) -> str:
    return f"{{name: {name}, {more}, backends: [{{dynamic: {{}}}}]}}"


def _winner(routes: str, made: Ask) -> str | None:
    found = route_for(http(routes).binds[0].listeners, made)
    return None if found is None else found[1].name


ORDER = [
    _named("none", "hostnames: []"),
    _named("wild", "hostnames: ['*.com']"),
    _named("longer", "hostnames: ['*.x.com']"),
    _named("exact", "hostnames: [a.x.com]"),
    _named("regex", "hostnames: [a.x.com], matches: [{path: {regex: '/a.*'}}]"),
    _named("prefix", "hostnames: [a.x.com], matches: [{path: {pathPrefix: /a}}]"),
    _named("path", "hostnames: [a.x.com], matches: [{path: {exact: /a/b}}]"),
    _named("method", "hostnames: [a.x.com], matches: [{path: {exact: /a/b}, method: GET}]"),
    _named(
        "header",
        "hostnames: [a.x.com], matches: [{path: {exact: /a/b}, method: GET, "
        "headers: [{name: X, value: {exact: '1'}}]}]",
    ),
]


@pytest.mark.parametrize("count", range(1, len(ORDER) + 1))
def test_the_most_specific_wins(count: int) -> None:
    made = ask("a.x.com", "/a/b", fields=[("x", "1")])
    winner = {5: "exact"}.get(count)  # a regex is weaker than the prefix / of `exact`
    names = [each.split(",")[0].removeprefix("{name: ") for each in ORDER]
    assert _winner(f"[{', '.join(ORDER[:count])}]", made) == (winner or names[count - 1])


def test_a_prefix_is_by_segment() -> None:
    routes = f"[{_named('a', 'matches: [{path: {pathPrefix: /a}}]')}]"
    assert _winner(routes, ask(target="/a")) == _winner(routes, ask(target="/a/b?c")) == "a"
    assert _winner(routes, ask(target="/ab")) is None


def test_a_query_is_matched() -> None:
    routes = f"[{_named('a', 'matches: [{query: [{name: k, value: {regex: v+}}]}]')}]"
    assert _winner(routes, ask(target="/?k=vv")) == "a"
    assert _winner(routes, ask(target="/?k=vvx")) is None


def test_an_own_port_before_every_port() -> None:
    made = document(
        "binds: [{mode: internal, listeners: []}, {port: 443, mode: internal, listeners: []}]"
    )
    assert [bind_of(made, port) for port in (443, 22)] == [made.binds[1], made.binds[0]]


def test_a_port_that_nobody_opened_is_no_bind() -> None:
    made = document("binds: [{port: 443, mode: internal, listeners: []}]")
    assert bind_of(made, 22) is None


def test_opened_and_passed_by_name_on_one_port() -> None:
    made = document(
        "binds: [{port: 443, mode: internal, listeners: ["
        "{name: open, protocol: HTTPS, tls: {mode: dynamicCa}, routes: "
        "[{hostnames: ['*.x.com'], backends: [{dynamic: {}}]}]},"
        "{name: pass, protocol: TLS, tcpRoutes: [{hostnames: [p.x.com], backends: "
        "[{dynamic: {}}]}]}]}]"
    )
    listeners = made.binds[0].listeners
    found = [listener_for(listeners, host) for host in ("a.x.com", "p.x.com", "y.com")]
    assert [each and each.name for each in found] == ["open", "pass", None]
