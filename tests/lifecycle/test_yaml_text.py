"""YAML is read as plain values; what it would let pass in silence is refused with its line."""

import pytest

from lifecycle.strict import NotUnderstood
from lifecycle.yaml_text import load_all


def test_each_document_of_a_stream_is_read() -> None:
    assert list(load_all("a: 1\n---\nb: [x]\n")) == [{"a": 1}, {"b": ["x"]}]


def test_json_is_yaml() -> None:
    assert list(load_all(b'{"a": {"b": null}}')) == [{"a": {"b": None}}]


def test_a_key_given_twice_is_refused_with_its_line() -> None:
    with pytest.raises(NotUnderstood, match="line 3: 'a' is given twice"):
        list(load_all("b: 0\na: 1\na: 2\n"))


def test_a_merged_mapping_may_be_overridden() -> None:
    text = "base: &base {a: 1, b: 2}\nmine:\n  <<: *base\n  a: 3\n"
    assert next(load_all(text)) == {"base": {"a": 1, "b": 2}, "mine": {"a": 3, "b": 2}}


def test_what_is_not_yaml_is_refused_with_its_line() -> None:
    with pytest.raises(NotUnderstood, match="line 2: not YAML"):
        list(load_all("a: 1\nb: ]\n"))


@pytest.mark.parametrize(
    "text", ["a: !!python/object/apply:os.system [true]", b"\xff\xfe\x00", "a: \x01"]
)
def test_tags_and_bytes_that_are_no_plain_values_are_refused(text: str | bytes) -> None:
    with pytest.raises(NotUnderstood, match="not YAML"):
        list(load_all(text))
