"""Decisions: default deny, the order of rules, what goes on and with which credentials."""

import pytest

from gateway.egress.ask import Ask, Way
from gateway.egress.config.model import Document
from gateway.egress.connecting import connect
from gateway.egress.deciding import check_path
from gateway.egress.forwarding import Forward
from gateway.egress.refusals import Answer, Refusal, Refused
from tests.gateway.egress.documents import FACTS, ask, decided, decider, document, http


def _decide(made: Document, asked: Ask) -> Forward | Answer:
    return decided(decider(made), asked)


def _refused(made: Document, asked: Ask) -> Refused:
    with pytest.raises(Refusal) as caught:
        _decide(made, asked)
    return caught.value.what


ONE = "[{hostnames: [a.com], %s backends: [{dynamic: {}}]}]"


def _rules(rules: str) -> Document:
    return http(ONE % f"policies: {{authorization: {{rules: {rules}}}}},")


def test_what_no_route_names_is_denied() -> None:
    assert _refused(http(ONE % ""), ask("b.com")) is Refused.NO_ROUTE
    assert _refused(document("{}"), ask("a.com")) is Refused.NO_BIND


@pytest.mark.parametrize(
    ("rules", "passes"),
    [
        ("[]", True),
        ("['true']", True),
        ("['false']", False),
        ("['false', 'true']", True),
        ("[{deny: 'false'}]", True),
        ("['true', {deny: 'true'}]", False),
        ("['true', {require: 'false'}]", False),
        ("[{require: 'true'}]", True),
        ('[{deny: \'request.headers["x"] == "1"\'}]', False),
        ('[{require: \'request.headers["x"] == "1"\'}]', False),
        ("['actor.namespace == \"demo\"']", True),
        ("['actor.namespace == \"other\"']", False),
    ],
)
def test_rules(rules: str, passes: bool) -> None:
    """The two with a missing header fail: a deny that fails denies (section 12 c)."""
    if passes:
        assert isinstance(_decide(_rules(rules), ask("a.com")), Forward)
    else:
        assert _refused(_rules(rules), ask("a.com")) is Refused.FORBIDDEN


def test_a_rate_is_per_key() -> None:
    made = decider(
        http(
            ONE % "policies: {localRateLimit: [{maxTokens: 1, tokensPerFill: 1, "
            "fillInterval: 60s, key: actor.id}]},"
        )
    )
    one, two = ask("a.com"), ask("a.com", actor=ask().actor.__class__(namespace="demo", name="c2"))
    for asked in (one, two):
        decided(made, asked)
    with pytest.raises(Refusal) as caught:
        decided(made, one, now=1.0)
    assert caught.value.what is Refused.RATE and dict(caught.value.headers)["retry-after"]


def test_connect_is_refused_before_the_tunnel() -> None:
    made = document(FACTS)
    for host, port, what in (
        ("api.openai.com", 22, Refused.NO_BIND),
        ("evil.com", 443, Refused.FORBIDDEN),
    ):
        with pytest.raises(Refusal) as caught:
            connect(made, ask(host, port=port, way=Way.CONNECT))
        assert caught.value.what is what and host in caught.value.reason
    with pytest.raises(Refusal) as caught:
        connect(document("{}"), ask(port=443))
    assert caught.value.what is Refused.METHOD


def test_an_opened_connect_leads_to_its_listener() -> None:
    opening = connect(document(FACTS), ask("api.github.com", port=443))
    assert opening.listener is not None and opening.passed is None


def test_what_came_by_tls_never_leaves_in_the_clear() -> None:
    made = http(ONE % "")
    asked = ask("a.com", port=443, scheme="https", way=Way.INTERCEPTED)
    sent = decided(decider(made), asked, list(made.binds[0].listeners))
    assert isinstance(sent, Forward) and sent.tls


def test_host_is_the_backends_unless_it_is_rewritten() -> None:
    backend = "backends: [{host: 'h.com:8080'}]"
    sent = _decide(http(f"[{{{backend}}}]"), ask("a.com", "/x?y"))
    assert isinstance(sent, Forward) and (sent.authority, sent.target) == ("h.com:8080", "/x?y")
    sent = _decide(
        http(f"[{{policies: {{urlRewrite: {{authority: none, path: {{full: /z}}}}}}, {backend}}}]"),
        ask("a.com", "/x?y"),
    )
    assert isinstance(sent, Forward) and (sent.authority, sent.target) == ("a.com", "/z?y")


def test_a_prefix_is_rewritten_by_segment() -> None:
    routes = (
        "[{matches: [{path: {pathPrefix: /openai}}], backends: "
        "[{ai: {name: o, provider: {openAI: {}}}}]}]"
    )
    sent = _decide(http(routes), ask("a.com", "/openai/v1/models"))
    assert isinstance(sent, Forward) and sent.target == "/v1/models"


def test_an_own_credential_goes_only_where_and_for_whom_it_says() -> None:
    made = http(
        "[{backends: [{dynamic: {}}]}]",
        "rouse: {credentials: [{name: a, hosts: [a.com], from: {env: A}}, {name: b, hosts: "
        "[a.com], from: {env: A}, for: 'actor.name == \"other\"'}]}",
    )
    sent = _decide(made, ask("a.com"))
    assert isinstance(sent, Forward) and [each.name for each in sent.credentials] == ["a"]
    sent = _decide(made, ask("b.com"))
    assert isinstance(sent, Forward) and sent.credentials == ()


def test_answers_without_a_backend() -> None:
    made = http("[{policies: {directResponse: {status: 418, body: tea}}}]")
    assert _decide(made, ask("a.com")) == Answer(status=418, body=b"tea")
    made = http("[{policies: {requestRedirect: {scheme: https, status: 301}}}]")
    assert _decide(made, ask("a.com", "/x?y")) == Answer(
        status=301, headers=(("location", "https://a.com/x?y"),)
    )


@pytest.mark.parametrize(
    "path", ["/a/../b", "/a/%2e%2e/b", "/a/..%2fb", "/.", "/a\\b", "/%252e%252e/x", "/%00"]
)
def test_a_path_that_two_would_read_differently_is_refused(path: str) -> None:
    with pytest.raises(Refusal, match="dot segments"):
        check_path(path)


@pytest.mark.parametrize("path", ["/a.b/c..d", "/@scope%2fname", "/x?y=../z", "/%20"])
def test_ordinary_paths_pass(path: str) -> None:
    check_path(path)


def test_a_delay_may_be_computed() -> None:
    made = http(ONE % "policies: {delay: {duration: 'duration(request.headers[\"x-wait\"])'}},")
    sent = _decide(made, ask("a.com", fields=[("x-wait", "2s")]))
    assert isinstance(sent, Forward) and sent.delay_s == 2.0
    sent = _decide(made, ask("a.com"))  # what can't be computed delays nobody
    assert isinstance(sent, Forward) and sent.delay_s == 0.0
    sent = _decide(http(ONE % "policies: {delay: {duration: 1500ms}},"), ask("a.com"))
    assert isinstance(sent, Forward) and sent.delay_s == 1.5


def test_an_answer_may_be_computed() -> None:
    made = http(
        "[{policies: {directResponse: {status: 200, bodyExpression: 'request.path', "
        "headers: {x-who: actor.name}}}}]"
    )
    expected = Answer(status=200, body=b"/p", headers=(("x-who", "c1"),))
    assert _decide(made, ask("a.com", "/p")) == expected


def test_a_backend_edits_what_it_is_sent() -> None:
    made = http(
        "[{policies: {responseHeaderModifier: {set: {x-r: route}}}, backends: [{host: 'h:1', "
        "policies: {requestHeaderModifier: {set: {x-a: '1'}}, responseHeaderModifier: {set: "
        "{x-r: own}}, transformations: {request: {set: {x-b: request.method}}, "
        "response: {set: {x-c: 'string(response.code)'}}}}}]}]"
    )
    sent = _decide(made, ask("a.com"))
    assert isinstance(sent, Forward) and len(sent.answered) == 1
    assert dict(sent.fields) == {"x-b": "GET", "x-a": "1"}
    assert [each.set for each in sent.edits] == [(("x-r", "own"),)]


def test_a_backend_has_rules_of_its_own() -> None:
    rules = "policies: {authorization: {rules: [{deny: 'request.method == \"PUT\"'}]}}"
    made = http(f"[{{backends: [{{host: 'h:1', {rules}}}]}}]")
    assert isinstance(_decide(made, ask("a.com")), Forward)
    assert _refused(made, ask("a.com", method="PUT")) is Refused.FORBIDDEN


def test_a_backend_may_redirect() -> None:
    made = http(
        "[{backends: [{host: 'h:1', policies: {requestRedirect: {scheme: https, status: 308}}}]}]"
    )
    found = _decide(made, ask("a.com", "/x"))
    assert found == Answer(status=308, headers=(("location", "https://a.com/x"),))


def test_rules_of_the_network_hold_for_every_way_in() -> None:
    made = document(
        FACTS.replace(
            "frontendPolicies: {",
            "frontendPolicies: {networkAuthorization: "
            "{rules: [{deny: 'cidr(\"10.0.0.0/8\").containsIP(source.address)'}]}, ",
        )
    )
    there, here = ("10.1.2.3", 1), ("127.0.0.1", 1)
    connect(made, ask("api.github.com", port=443, source=here))
    for asked in (ask("api.github.com", port=443, source=there), ask(source=there)):
        with pytest.raises(Refusal) as caught:
            if asked.port == 443:
                connect(made, asked)
            else:
                decider(made).listeners_for(asked)
        assert caught.value.what is Refused.FORBIDDEN


def test_weights_share_the_requests() -> None:
    made = decider(
        http("[{backends: [{host: 'a:1', weight: 3}, {host: 'b:1'}, {host: 'c:1', weight: 0}]}]")
    )
    found = [decided(made, ask("x.com")) for _ in range(400)]
    counts = [sum(isinstance(one, Forward) and one.host == name for one in found) for name in "abc"]
    assert 250 < counts[0] < 350 and counts[0] + counts[1] == 400
    assert _refused(http("[{backends: [{host: 'a:1', weight: 0}]}]"), ask()) is Refused.NO_BACKEND
