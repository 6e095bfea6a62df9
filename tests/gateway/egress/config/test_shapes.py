"""Shapes: camelCase outside, nothing unknown."""

import pytest

from gateway.egress.config.shapes import LocationForm, MatchForm
from lifecycle.strict import NotUnderstood, convert


def test_names_are_camel_case() -> None:
    made = convert({"path": {"pathPrefix": "/a"}}, MatchForm)
    assert made.path is not None and made.path.path_prefix == "/a"
    with pytest.raises(NotUnderstood, match="did you mean queryParameter"):
        convert({"queryParam": {"name": "a"}}, LocationForm)
