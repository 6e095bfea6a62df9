"""Gates in their order: what comes first refuses first, and listeners before routes."""

import pytest

from gateway.egress.ask import Ask
from gateway.egress.forwarding import Forward
from gateway.egress.refusals import Answer, Refusal, Refused
from tests.gateway.egress.documents import ask, decided, decider, document

LISTENER = """binds:
- mode: internal
  listeners:
  - policies:
      cors: {allowOrigins: ["https://a.test"]}
      apiKey: {mode: strict, keys: [{key: k, metadata: {team: red}}]}
      authorization: {rules: [{deny: 'apiKey.team == "blue"'}]}
      transformations: {request: {set: {":path": '"/new"', x-team: apiKey.team}},
                        response: {set: {x-code: 'string(response.code)'}}}
    routes:
    - {name: old, matches: [{path: {exact: /old}}], backends: [{host: 'old:1'}]}
    - {name: new, matches: [{path: {exact: /new}}], backends: [{host: 'new:1'}],
       policies: {authorization: {rules: ['request.method == "GET"']}}}
"""


def _sent(asked: Ask) -> Forward | Answer:
    return decided(decider(document(LISTENER)), asked)


def test_the_listeners_gate_is_before_the_route_and_may_change_it() -> None:
    sent = _sent(ask("a.com", "/old", fields=[("authorization", "Bearer k")]))
    assert isinstance(sent, Forward) and (sent.route.name, sent.target) == ("new", "/new")
    assert ("x-team", "red") in sent.fields and len(sent.answered) == 1
    assert not any(name == "authorization" for name, _value in sent.fields)


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        (ask("a.com", "/nowhere"), Refused.NO_KEY),
        (ask("a.com", "/old", fields=[("authorization", "Bearer x")]), Refused.BAD_KEY),
        (
            ask("a.com", "/old", method="PUT", fields=[("authorization", "Bearer k")]),
            Refused.FORBIDDEN,
        ),
    ],
)
def test_what_comes_first_refuses_first(asked: Ask, what: Refused) -> None:
    with pytest.raises(Refusal) as caught:
        _sent(asked)
    assert caught.value.what is what


def test_a_preflight_is_answered_before_anybody_is_asked_who_they_are() -> None:
    fields = [("origin", "https://a.test"), ("access-control-request-method", "PUT")]
    found = _sent(ask("a.com", "/old", method="OPTIONS", fields=fields))
    assert isinstance(found, Answer) and found.status == 200


def test_an_actors_own_field_of_the_same_name_tells_no_rule_anything() -> None:
    """What expressions see of a caller is what was found good, not what a field says."""
    fields = [("authorization", "Bearer k"), ("apikey", "blue"), ("x-team", "blue")]
    sent = _sent(ask("a.com", "/old", fields=fields))
    assert isinstance(sent, Forward) and ("x-team", "red") in sent.fields
    assert ("x-team", "blue") not in sent.fields
