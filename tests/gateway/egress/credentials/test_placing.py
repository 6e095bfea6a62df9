"""Where a secret may stand, and that what was there goes."""

import base64

import pytest

from gateway.egress.config.model import Credential, Location, Place, Source
from gateway.egress.credentials.placing import is_placed, place
from gateway.egress.refusals import Refusal


def _credential(**more: object) -> Credential:
    return Credential(name="k", hosts=("a",), source=Source(value=""), **more)  # type: ignore[arg-type]


def _basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_a_header_is_overwritten() -> None:
    fields, _ = place([("authorization", "a"), ("authorization", "b")], "/", _credential(), "s")
    assert fields == [("authorization", "Bearer s")]


def test_a_query_parameter_is_overwritten_in_every_spelling() -> None:
    location = Location(place=Place.QUERY, name="key")
    _, target = place([], "/p?a=1&key=x&%6bey=y", _credential(location=location), "s&t=1")
    assert target == "/p?a=1&key=s%26t%3D1"


def test_a_cookie_is_overwritten_among_others() -> None:
    location = Location(place=Place.COOKIE, name="sid")
    fields, _ = place([("cookie", "a=1; sid=x"), ("cookie", "b=2")], "/", _credential(
        location=location), "s")  # fmt: skip
    assert fields == [("cookie", "a=1; b=2; sid=s")]


@pytest.mark.parametrize("secret", ["a;b", 'a"b', "a b"])
def test_a_secret_that_does_not_fit_a_cookie_is_refused(secret: str) -> None:
    location = Location(place=Place.COOKIE, name="sid")
    with pytest.raises(Refusal) as caught:
        place([], "/", _credential(location=location), secret)
    assert secret not in str(caught.value)


def test_basic_is_built() -> None:
    fields, _ = place([], "/", _credential(username="u"), "p:w")
    assert fields == [("authorization", _basic("u:p:w"))]


def test_a_placeholder_inside_basic_is_rebuilt_as_git_sends_it() -> None:
    credential = _credential(placeholder="rouse-placeholder")
    given = [("authorization", _basic("x-token:rouse-placeholder"))]
    assert is_placed(given, "/", "rouse-placeholder")
    assert place(given, "/", credential, "ghp")[0] == [("authorization", _basic("x-token:ghp"))]


@pytest.mark.parametrize("value", ["Bearer x", "Basic !!!", _basic("u:p"), "Basic " + "/w=="])
def test_what_holds_no_placeholder_stays_as_it_is(value: str) -> None:
    given = [("authorization", value)]
    assert not is_placed(given, "/", "rouse-placeholder")
    credential = _credential(placeholder="rouse-placeholder")
    assert place(given, "/", credential, "s")[0] == given


def test_a_placeholder_in_the_query_is_quoted() -> None:
    credential = _credential(placeholder="rouse-placeholder")
    assert place([], "/?k=rouse-placeholder", credential, "a&b=c")[1] == "/?k=a%26b%3Dc"


def test_a_secret_cannot_end_its_line() -> None:
    for credential in (_credential(), _credential(placeholder="rouse-placeholder")):
        with pytest.raises(Refusal):
            place([("x", "rouse-placeholder")], "/", credential, "a\r\nb: c")


def test_anthropic_gets_its_key_where_it_wants_it() -> None:
    fields, _ = place([("authorization", "x")], "/", _credential(), "sk-ant-1", "anthropic")
    assert dict(fields) == {"x-api-key": "sk-ant-1", "anthropic-version": "2023-06-01"}
    fields, _ = place([], "/", _credential(), "sk-ant-oat1", "anthropic")
    assert dict(fields)["authorization"] == "Bearer sk-ant-oat1"
