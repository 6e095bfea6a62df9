"""The forms; that unknown fields are refused with the nearest name is `lifecycle.strict`'s."""

import msgspec
import pytest

from gateway.egress.config import forms
from gateway.egress.config.refused import REFUSED
from lifecycle.strict import NotUnderstood, convert


def test_no_field_is_both_known_and_refused() -> None:
    for form, refused in REFUSED.items():
        names = {field.encode_name for field in msgspec.structs.fields(form)}
        assert not names & refused, form


def test_an_unknown_field_names_the_nearest() -> None:
    with pytest.raises(NotUnderstood, match="did you mean hostnames"):
        convert({"routes": [{"hostname": ["a"]}]}, forms.DocumentForm)
