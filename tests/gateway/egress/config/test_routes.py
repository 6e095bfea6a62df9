"""Routes as the model has them: backends by name, credentials bound to hosts."""

import pytest

from gateway.egress.config.model import SYSTEM_TLS, Route
from lifecycle.strict import NotUnderstood
from tests.gateway.egress.documents import document, http


def _only(text: str, more: str = "") -> Route:
    return http(text, more).binds[0].listeners[0].routes[0]


def test_an_ai_backend_is_its_provider_over_tls() -> None:
    route = _only("[{backends: [{ai: {name: o, provider: {openAI: {}}}}]}]")
    backend = route.backends[0]
    assert (backend.host, backend.port, backend.tls) == ("api.openai.com", 443, SYSTEM_TLS)


def test_a_named_backend_brings_its_policies() -> None:
    more = "backends: [{name: b, host: 'h:1', policies: {backendAuth: {key: s}, backendTLS: {}}}]"
    route = _only("[{backends: [{backend: b}]}]", more)
    assert route.backends[0].tls == SYSTEM_TLS
    assert route.backends[0].credentials[0].hosts == ("h",)


def test_the_backends_own_policy_comes_before_the_routes() -> None:
    route = _only(
        "[{policies: {backendAuth: {key: route}}, backends: "
        "[{host: 'h:1', policies: {backendAuth: {key: own}}}]}]"
    )
    assert [each.source.value for each in route.backends[0].credentials] == ["own"]


def test_a_credential_of_a_dynamic_backend_is_bound_to_the_routes_names() -> None:
    route = _only("[{hostnames: ['*.x.com'], policies: {backendAuth: {key: s}}, "
                  "backends: [{dynamic: {}}]}]")  # fmt: skip
    assert route.backends[0].credentials[0].hosts == ("*.x.com",)
    with pytest.raises(NotUnderstood, match="would go to any host"):
        http("[{policies: {backendAuth: {key: s}}, backends: [{dynamic: {}}]}]")


@pytest.mark.parametrize(
    ("backend", "why"),
    [
        ("{host: 'h:1', dynamic: {}}", "exactly one of"),
        ("{host: h}", "has no port"),
        ("{backend: nope}", "no backend here"),
        ("{host: '0x7f.1:80'}", "no host name"),
        ("{host: 'unix:x'}", "an absolute path"),
    ],
)
def test_backends_are_checked(backend: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        http(f"[{{backends: [{backend}]}}]")


def test_a_route_without_a_backend_must_answer_by_itself() -> None:
    with pytest.raises(NotUnderstood, match="is empty"):
        http("[{hostnames: [a]}]")
    assert _only("[{policies: {directResponse: {status: 204}}}]").direct is not None


def test_a_pass_route_says_one_backend() -> None:
    made = document(
        "binds: [{port: 443, mode: internal, listeners: [{protocol: TLS, tcpRoutes: "
        "[{hostnames: [h.com], backends: [{dynamic: {}}]}]}]}]"
    )
    assert made.binds[0].listeners[0].passes[0].backends[0].host is None
