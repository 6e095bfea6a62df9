"""Settings of the entry: what does not go together is refused by its name, before anything runs."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.settings import BadSettings, Settings, load

JWT = {"jwks": "/etc/keys.json", "jwt_issuer": "https://i", "jwt_audience": "rouse"}


def up(file: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    return load("up", file, {"HOME": "/home/ann", **(environ or {})}, {})


def from_text(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "rouse.yaml"
    file.write_text(text)
    return up(file)


def test_by_default_nothing_is_asked_of_callers() -> None:
    edge = up().edge
    assert edge.auth.accept == ("none",) and not edge.auth.kinds
    assert not edge.tls.cert_files and not edge.proxy_protocol


def test_groups_in_groups_are_read_from_file_and_environment(tmp_path: Path) -> None:
    text = """
edge:
  auth:
    accept: [actor, token]
    tokens_file: /etc/rouse/tokens
    namespaces: {public: [none]}
  tls:
"""
    auth = from_text(tmp_path, text).edge.auth
    assert auth.accept == ("actor", "token") and auth.namespaces == {"public": ("none",)}
    assert auth.kinds == {"actor", "token"}
    auth = up(
        environ={
            "ROUSE_EDGE_AUTH_ACCEPT": "actor",
            "ROUSE_EDGE_AUTH_NAMESPACES": "public=none,lab=actor+token",
            "ROUSE_EDGE_AUTH_TOKENS_FILE": "/etc/rouse/tokens",
        }
    ).edge.auth
    assert auth.namespaces == {"public": ("none",), "lab": ("actor", "token")}


@pytest.mark.parametrize(
    ("edge", "message"),
    [
        ("auth: {acept: [actor]}", "edge.auth.acept: unknown field; did you mean accept?"),
        ("auth: {accept: [nobody]}", "edge.auth.accept"),
        ("auth: {accept: []}", "edge.auth.accept: say what is accepted"),
        ("auth: {accept: [none, actor]}", "edge.auth.accept: say what is accepted"),
        ("auth: {namespaces: {demo: []}}", "edge.auth.namespaces: say what"),
        ("auth: {namespaces: {Demo: [actor]}}", "edge.auth.namespaces: namespace 'Demo'"),
        ("auth: {accept: [token]}", "edge.auth.tokens_file: static tokens are accepted"),
        ("auth: {namespaces: {demo: [token]}}", "edge.auth.tokens_file"),
        ("auth: {accept: [jwt]}", "edge.auth.jwks: JWTs are accepted"),
        ("auth: {header: Host}", "edge.auth.header: 'Host' is no field"),
        ("auth: {header: 'a b'}", "edge.auth.header: 'a b' is no field"),
        ("auth: {cookie: 'a;b'}", "edge.auth.cookie: 'a;b' is no cookie's"),
        ("auth: {query: 'a&b'}", "edge.auth.query: 'a&b' is no parameter's"),
        (
            "auth: {accept: [actor], header: '', cookie: '', query: ''}",
            "edge.auth.header: a credential must",
        ),
        ("auth: {jwks_refresh_s: 1}", "edge.auth.jwks_refresh_s: 1.0 is not between"),
        ("tls: {cert_files: [a]}", "edge.tls.key_files: 0 keys for 1 certificates"),
        ("tls: {redirect_listen: 'a:1'}", "edge.tls.cert_files: there is no TLS"),
        (
            "tls: {cert_files: [a], key_files: [b], client_certs: required}",
            "edge.tls.client_ca_file: goes with",
        ),
        (
            "tls: {cert_files: [a], key_files: [b], redirect_listen: 'unix:/s'}",
            "edge.tls.redirect_listen: clients come by TCP",
        ),
        ("proxy_protocol: [lan]", "edge.proxy_protocol: 'lan'"),
    ],
)
def test_what_does_not_go_together_is_named(tmp_path: Path, edge: str, message: str) -> None:
    with pytest.raises(BadSettings) as caught:
        from_text(tmp_path, f"edge: {{{edge}}}\n")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"jwt_algorithms": "[HS256]"}, "edge.auth.jwt_algorithms: 'HS256' is none of RS256"),
        ({"jwt_algorithms": "[none]"}, "edge.auth.jwt_algorithms: 'none'"),
        ({"jwt_algorithms": "[]"}, "edge.auth.jwt_algorithms: say at least one"),
        ({"jwt_audience": "''"}, "edge.auth.jwt_audience: JWTs are accepted"),
        ({"jwks": "http://login.example/keys"}, "edge.auth.jwks: keys come over https"),
    ],
)
def test_jwts_are_not_accepted_half_checked(
    tmp_path: Path, change: dict[str, str], message: str
) -> None:
    given = ", ".join(f"{name}: {value}" for name, value in {**JWT, **change}.items())
    with pytest.raises(BadSettings) as caught:
        from_text(tmp_path, f"edge: {{auth: {{accept: [jwt], {given}}}}}\n")
    assert message in str(caught.value)


@pytest.mark.parametrize("jwks", ["https://login.example/k", "http://127.0.0.1:1/k", "/etc/k"])
def test_keys_come_by_https_from_this_machine_or_a_file(tmp_path: Path, jwks: str) -> None:
    given = ", ".join(f"{name}: {value}" for name, value in {**JWT, "jwks": jwks}.items())
    settings = from_text(tmp_path, f"edge: {{auth: {{accept: [jwt], {given}}}}}\n")
    assert settings.edge.auth.jwks == jwks


def test_limits_and_budgets_are_read_and_checked(tmp_path: Path) -> None:
    text = "edge: {limits: {parked_bytes: 64Mi, burst: 7}, budgets: {request_s: 30}}"
    edge = from_text(tmp_path, text).edge
    assert (edge.limits.parked_bytes, edge.limits.burst) == (64 * 2**20, 7)
    assert edge.budgets.request_s == 30.0 and edge.budgets.first_byte_s == 0.0
    environ = {"ROUSE_EDGE_LIMITS_REQUESTS_PER_S": "2.5"}
    assert up(None, environ).edge.limits.requests_per_s == 2.5
    with pytest.raises(BadSettings, match=r"edge.limits.connections: 0 is not between"):
        from_text(tmp_path, "edge: {limits: {connections: 0}}")
