"""What is refused by name: nothing in it is also read."""

import msgspec
import pytest

from gateway.egress.config.refused import REFUSED, REFUSED_VALUES
from gateway.egress.config.refusing import check
from lifecycle.strict import NotUnderstood


@pytest.mark.parametrize(
    ("form", "name"), [(form, name) for form, names in REFUSED.items() for name in sorted(names)]
)
def test_every_one_of_them_is_refused_by_its_name(form: type, name: str) -> None:
    with pytest.raises(NotUnderstood, match=f"^at.{name}: not supported by rouse$"):
        check({name: {}}, form, "at")


@pytest.mark.parametrize(
    ("form", "key", "value"),
    [
        (form, key, each)
        for (form, key), values in REFUSED_VALUES.items()
        for each in sorted(values)
    ],
)
def test_every_value_of_them_is_refused_by_its_name(form: type, key: str, value: str) -> None:
    with pytest.raises(NotUnderstood, match=f"{value} is not supported by rouse$"):
        check({key: value}, form)


def test_all_are_of_fields_that_are_there() -> None:
    for form, key in REFUSED_VALUES:
        assert key in {each.encode_name for each in msgspec.structs.fields(form)}
