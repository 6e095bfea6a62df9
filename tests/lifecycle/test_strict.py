"""A refusal names the field's whole path and the nearest name that is known."""

from pathlib import Path

import msgspec
import pytest

from lifecycle.quantities import Duration
from lifecycle.strict import NotUnderstood, convert, nearest


class Leaf(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    freeze_after: Duration | None = None
    label: str = ""


class Tree(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    leaf: Leaf | None = None
    leaves: tuple[Leaf, ...] = ()
    by_key: dict[str, Leaf] = {}


def refusal(given: object) -> NotUnderstood:
    with pytest.raises(NotUnderstood) as caught:
        convert(given, Tree)
    return caught.value


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"nam": "a"}, "nam: unknown field; did you mean name?"),
        (
            {"name": "a", "leaf": {"freezeAftr": "5s"}},
            "leaf.freezeAftr: unknown field; did you mean freezeAfter?",
        ),
        (
            {"name": "a", "leaves": [{}, {"lable": "x"}]},
            "leaves[1].lable: unknown field; did you mean label?",
        ),
        (
            {"name": "a", "by_key": {"k": {"zzz": 1}}},
            "by_key[...].zzz: unknown field; known: freezeAfter, label",
        ),
        ({}, "name: is missing"),
        ({"name": 5}, "name: expected `str`, got `int`; put it in quotes"),
        ({"name": "a", "leaf": 5}, "leaf: expected `object | null`, got `int`"),
        ([], "expected `object`, got `array`"),
    ],
)
def test_a_refusal_names_path_and_remedy(given: object, message: str) -> None:
    assert str(refusal(given)) == message


def test_a_bad_quantity_is_named_by_its_path() -> None:
    refused = refusal({"name": "a", "leaf": {"freezeAfter": "soon"}})
    assert refused.path == "leaf.freezeAfter"
    assert "'soon' is no duration" in refused.what


def test_text_becomes_numbers_only_where_asked() -> None:
    class Query(msgspec.Struct):
        limit: int = 1

    assert convert({"limit": "5"}, Query, from_text=True) == Query(limit=5)
    with pytest.raises(NotUnderstood, match="limit: expected `int`, got `str`"):
        convert({"limit": "5"}, Query)


def test_nearest_lists_what_is_known_when_nothing_is_near() -> None:
    assert nearest("idel", ["idle", "wake"]) == "did you mean idle?"
    assert nearest("qqq", ["wake", "idle"]) == "known: idle, wake"
    assert nearest("qqq", []) == "nothing is known here"


def test_a_path_is_text_that_is_not_empty() -> None:
    class Places(msgspec.Struct):
        home: Path | None = None

    assert convert({"home": "/srv"}, Places).home == Path("/srv")
    with pytest.raises(NotUnderstood, match="home: '' is no path"):
        convert({"home": ""}, Places)
