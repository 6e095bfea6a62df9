"""What expressions see of a request."""

from gateway.egress.ask import fields_of
from gateway.egress.cel import Expression
from tests.gateway.egress.documents import ask


def test_an_expression_sees_actor_and_request() -> None:
    made = ask("h.com", "/a?b=1", port=8080, fields=[("x", "1"), ("x", "2")])
    for text in (
        'actor.namespace == "demo" && actor.name == "c1" && actor.id == "demo/c1"',
        'request.path == "/a" && request.pathAndQuery == "/a?b=1"',
        'request.uri == "http://h.com:8080/a?b=1" && request.host == "h.com:8080"',
        'request.headers["x"] == "1, 2" && destination.port == 8080',
    ):
        assert Expression(text, "p").is_true(made), text


def test_no_expression_sees_the_actors_token() -> None:
    made = ask(fields=[("proxy-authorization", "Basic x")], connect_fields=[
        ("proxy-authorization", "Basic x")])  # fmt: skip
    assert Expression("size(request.headers) == 0", "p").is_true(made)
    assert Expression("size(source.connectHeaders) == 0", "p").is_true(made)


def test_fields_are_taken_from_a_block() -> None:
    assert fields_of(b"\r\nHost: a\r\nX-A:  b c ") == [("host", "a"), ("x-a", "b c")]
