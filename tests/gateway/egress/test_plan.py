"""Plans: credentials go in last, only over TLS, only where they are bound to."""

from typing import Any

import pytest

from gateway.egress import plan
from gateway.egress.credentials.fetching import fetch
from gateway.egress.credentials.secrets import Secrets
from gateway.egress.forwarding import Forward
from gateway.egress.refusals import Refusal, Refused
from tests.gateway.egress.documents import ask, decided, decider, http

ENV = {"KEY": "sekret", "BAD": "a\r\nb: c"}


def _plan(credential: str, *, scheme: str = "https", host: str = "a.com", **more: Any) -> plan.Plan:
    own = f"rouse: {{credentials: [{{name: k, hosts: [a.com], {credential}}}]}}"
    made = decider(http("[{backends: [{dynamic: {}}]}]", own))
    asked = ask(host, scheme=scheme, **more)
    found = decided(made, asked)
    assert isinstance(found, Forward)
    return plan.make(found, asked, Secrets(ENV, fetch), caller="c", decider=made)


def test_add_mode_puts_it_in_whatever_was_there() -> None:
    made = _plan("from: {env: KEY}", fields=[("authorization", "mine")])
    assert b"authorization: Bearer sekret" in made.head and b"mine" not in made.head
    assert "sekret" not in repr(made) and "sekret" not in repr(made.forward)


def test_placeholder_mode_leaves_other_requests_alone() -> None:
    credential = "from: {env: KEY}, placeholder: rouse-placeholder"
    assert b"sekret" not in _plan(credential, fields=[("authorization", "Bearer x")]).head
    assert b"x-key: sekret" in _plan(credential, fields=[("x-key", "rouse-placeholder")]).head


def test_nothing_secret_in_the_clear_unless_told() -> None:
    with pytest.raises(Refusal) as caught:
        _plan("from: {env: KEY}", scheme="http")
    assert caught.value.what is Refused.FORBIDDEN and "sekret" not in str(caught.value)
    assert b"sekret" in _plan("from: {env: KEY}, plainHttp: true", scheme="http").head


def test_it_goes_to_no_other_host() -> None:
    assert b"sekret" not in _plan("from: {env: KEY}", host="b.com").head


@pytest.mark.parametrize("source", ["env: BAD", "env: NOT_THERE"])
def test_what_can_not_be_put_in_is_refused_without_a_word_of_it(source: str) -> None:
    with pytest.raises(Refusal) as caught:
        _plan(f"from: {{{source}}}")
    assert caught.value.what is Refused.CREDENTIAL and "b: c" not in str(caught.value)


def test_a_signature_waits_for_the_body() -> None:
    made = _plan("aws: {accessKeyId: AK, secretAccessKey: SK, service: sqs, region: eu-west-1}")
    assert made.head == b"" and made.signs is not None
    head = plan.head_of(made, b"body", Secrets(ENV, fetch))
    assert b"authorization: AWS4-HMAC-SHA256 Credential=AK/" in head and b"SK" not in head
