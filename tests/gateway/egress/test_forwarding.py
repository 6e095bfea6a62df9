"""Forwarding: to which authority and path, and with whose credential."""

import pytest

from gateway.egress.ask import Ask
from gateway.egress.forwarding import Forward, names
from gateway.egress.metering.usage import Call, Operation
from gateway.egress.refusals import Refusal, Refused
from tests.gateway.egress.documents import ask, decided, decider, http


def _sent(routes: str, asked: Ask) -> Forward:
    found = decided(decider(http(routes)), asked)
    assert isinstance(found, Forward)
    return found


AI = "{ai: {name: o, hostOverride: 'h:1', %s provider: {%s}}}"


@pytest.mark.parametrize(
    ("backend", "asked", "target"),
    [
        (AI % ("", "openAI: {}"), "/v1/models", "/v1/models"),
        (AI % ("", "openAI: {}"), "/x/chat/completions", "/x/chat/completions"),
        (AI % ("pathPrefix: /api/v2,", "openAI: {}"), "/v1/models?a=b", "/api/v2/models?a=b"),
        (AI % ("pathOverride: /one,", "openAI: {}"), "/v1/models", "/one"),
        (
            "{ai: {name: o, provider: {openAI: {}}, policies: "
            "{ai: {routes: {/chat: completions}}}}}",
            "/chat",
            "/v1/chat/completions",
        ),
        (
            AI % ("", "custom: {formats: [{type: completions, path: /own}]}"),
            "/v1/chat/completions",
            "/own",
        ),
    ],
)
def test_paths_of_providers(backend: str, asked: str, target: str) -> None:
    method = "POST" if "chat" in asked else "GET"
    made = ask("a.com", asked, method=method)
    made.body = b'{"model": "m"}'
    assert _sent(f"[{{backends: [{backend}]}}]", made).target == target


def test_a_provider_is_not_sent_what_it_does_not_speak() -> None:
    routes = "[{backends: [{ai: {name: o, provider: {anthropic: {}}}}]}]"
    made = ask("a.com", "/v1/chat/completions", method="POST")
    made.body = b'{"model": "m"}'
    with pytest.raises(Refusal) as caught:
        _sent(routes, made)
    assert caught.value.what is Refused.FORMAT


def test_another_port_may_be_written_alone() -> None:
    routes = "[{policies: {urlRewrite: {authority: {port: 81}}}, backends: [{host: 'h.com:8080'}]}]"
    assert _sent(routes, ask("a.com")).authority == "h.com:81"


def test_only_an_address_is_named_by_being_written() -> None:
    assert names(("10.0.0.1",), "10.0.0.1") and names(("::1",), "::1")
    assert not names(("a.com",), "a.com") and not names(("*.com",), "a.com")


def test_a_call_of_a_provider_is_counted_wherever_its_path_leads() -> None:
    routes = "policies: {ai: {routes: {/chat: completions}}}"
    backend = f"{{ai: {{name: o, provider: {{openAI: {{}}}}, {routes}}}}}"
    made = ask("a.com", "/chat", method="POST")
    made.body = b'{"model": "m"}'
    assert _sent(f"[{{backends: [{backend}]}}]", made).call == Call(
        operation=Operation.CHAT, provider="openai"
    )
    assert _sent("[{backends: [{host: 'h:1'}]}]", ask("a.com", "/chat", method="POST")).call is None
