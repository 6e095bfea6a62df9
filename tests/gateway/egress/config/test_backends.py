"""Backends as the model has them: policies of several levels, providers, and what is refused."""

import pytest

from gateway.egress.config.model import SYSTEM_TLS, Backend, Tcp
from lifecycle.strict import NotUnderstood
from tests.gateway.egress.documents import document, http


def _only(backend: str, route: str = "", more: str = "") -> Backend:
    made = http(f"[{{policies: {{{route}}}, backends: [{backend}]}}]", more)
    return made.binds[0].listeners[0].routes[0].backends[0]


def test_the_nearest_policy_is_taken() -> None:
    more = """backends: [{name: b, host: 'h:1', policies: {backendTLS: {hostname: far},
      http: {requestTimeout: 9s}, backendAuth: {key: far}}}]"""
    made = _only(
        "{backend: b, policies: {backendTLS: {hostname: near}}}",
        "backendTLS: {hostname: route}, backendAuth: {key: route}",
        more,
    )
    assert made.tls is not None and made.tls.hostname == "near" and made.timeout_s == 9.0
    assert [each.source.value for each in made.credentials] == ["far"]


def test_each_backend_has_its_own_credential_alone() -> None:
    made = http(
        "[{backends: [{host: 'a:1', policies: {backendAuth: {key: ka}}}, "
        "{host: 'b:1', policies: {backendAuth: {key: kb}}}]}]"
    )
    found = made.binds[0].listeners[0].routes[0].backends
    assert [(each.credentials[0].source.value, each.credentials[0].hosts) for each in found] == [
        ("ka", ("a",)),
        ("kb", ("b",)),
    ]


def test_a_provider_is_spoken_to_by_tls_unless_another_host_is_said() -> None:
    assert _only("{ai: {name: o, provider: {anthropic: {}}}}").tls == SYSTEM_TLS
    other = _only("{ai: {name: o, hostOverride: 'h:1', provider: {openAI: {}}}}")
    assert (other.host, other.tls) == ("h", None)


def test_ai_policies_are_merged_field_by_field() -> None:
    made = _only(
        "{ai: {name: o, provider: {openAI: {}}, policies: {ai: {defaults: {a: 1}}}}}",
        "ai: {defaults: {b: 2}, overrides: {c: 3}, modelAliases: {'x*': y, xx: z, x: w}}",
    )
    assert made.ai is not None
    assert (made.ai.defaults, made.ai.overrides) == ((("a", 1),), (("c", 3),))
    assert [name for name, _to in made.ai.aliases] == ["xx", "x", "x*"]


def test_tcp_and_tunnel() -> None:
    made = _only(
        "{host: 'h:1', policies: {tcp: {keepalives: {time: 5s, interval: 2s, retries: 3}, "
        "connectTimeout: 1s}, backendTunnel: {proxy: {host: 'p:3128'}}}}"
    )
    assert made.tcp == Tcp(connect_timeout_s=1.0, keepalive=(5, 2, 3))
    assert made.chain is not None and (made.chain.host, made.chain.port) == ("p", 3128)


@pytest.mark.parametrize(
    ("backend", "why"),
    [
        ("{ai: {groups: [{providers: []}]}}", "is empty"),
        ("{ai: {name: a}}", "a provider, or groups"),
        ("{ai: {name: a, provider: {}}}", "exactly one of openAI, anthropic and custom"),
        ("{ai: {name: a, provider: {custom: {formats: []}}}}", "formats: is empty"),
        (
            "{ai: {name: a, provider: {custom: {formats: [{type: completions}]}}}}",
            "hostOverride: is missing",
        ),
        ("{host: 'h:1', policies: {http: {version: '3'}}}", "HTTP/1.1 or HTTP/2.0"),
        ("{host: 'h:1', policies: {backendTLS: {alpn: [h3]}}}", "of http/1.1 and h2"),
        ("{host: 'h:1', policies: {backendTLS: {subjectAltNames: []}}}", "is empty"),
        ("{host: 'h:1', policies: {backendTLS: {keyExchangeGroups: [P-256, P-384]}}}", "not supp"),
        (
            "{host: 'h:1', policies: {backendTunnel: {proxy: {host: 'p:1'}, "
            "policies: {backendTLS: {}}}}}",
            "backendTLS: is not supported by rouse here",
        ),
        ("{host: 'h:1', policies: {tcp: {keepalives: {}, connectTimeout: 0s}}}", "more than 0s"),
    ],
)
def test_what_makes_no_sense_is_refused(backend: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        _only(backend)


def test_a_named_backend_is_one_kind() -> None:
    with pytest.raises(NotUnderstood, match="exactly one of host and ai"):
        document(
            "backends: [{name: b}]\nbinds: [{mode: internal, listeners: "
            "[{routes: [{backends: [{backend: b}]}]}]}]"
        )


def test_a_custom_provider_may_be_counted_as_another() -> None:
    made = _only(
        "{ai: {name: o, hostOverride: 'h:1', provider: {custom: {providerOverride: openai, "
        "formats: [{type: completions}]}}}}"
    )
    assert made.provider == "openai" and made.ai is not None and made.ai.formats


def test_a_proxy_may_be_a_named_backend() -> None:
    more = "backends: [{name: p, host: 'p:3128', policies: {backendAuth: {key: pk}}}]"
    made = _only("{host: 'h:1'}", "backendTunnel: {proxy: {backend: p}}", more)
    assert made.chain is not None and made.chain.port == 3128
    assert made.chain.credentials[0].source.value == "pk"
