"""Variables are values: none can change the document around it."""

import pytest

from gateway.egress.config.expand import expanded, read
from lifecycle.strict import NotUnderstood

ENV = {"PORT": "8080", "NASTY": "a: b # 'c' \"d\"\nx: y", "HOME": "/home/u", "EMPTY": ""}


def test_a_plain_scalar_is_typed_after_its_expansion() -> None:
    assert read("port: $PORT", ENV) == {"port": 8080}
    assert read("port: ${PORT}", ENV) == {"port": 8080}


def test_a_quoted_scalar_stays_text() -> None:
    assert read('port: "$PORT"', ENV) == {"port": "8080"}


def test_a_value_cannot_change_the_document() -> None:
    assert read("key: ${NASTY}\nother: 1", ENV) == {"key": ENV["NASTY"], "other": 1}


def test_nothing_in_a_comment_is_expanded() -> None:
    assert read("a: 1 # $NOT_SET", ENV) == {"a": 1}


def test_a_variable_that_is_not_set_is_refused_by_name_and_line() -> None:
    with pytest.raises(NotUnderstood, match=r"line 2: \$NOT_SET is not set"):
        read("a: 1\nb: $NOT_SET", ENV)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("$$HOME", "$HOME"),
        ("^a$", "^a$"),
        ("${NOT_SET:-x}", "x"),
        ("${EMPTY:-x}", "x"),
        ("~/k", "/home/u/k"),
        ("a~/k", "a~/k"),
        ("$PORT-$PORT", "8080-8080"),
    ],
)
def test_forms(text: str, value: str) -> None:
    assert expanded(text, ENV) == value


def test_an_alias_is_expanded_once() -> None:
    assert read("a: &x $$PORT\nb: *x", ENV) == {"a": "$PORT", "b": "$PORT"}


def test_two_documents_are_refused() -> None:
    with pytest.raises(NotUnderstood, match="more than one"):
        read("a: 1\n---\nb: 1", ENV)
