"""The form of `rouse`: words that Python keeps for itself are still the document's."""

from gateway.egress.config.our_forms import RouseForm
from lifecycle.strict import convert


def test_from_and_for() -> None:
    given = {"credentials": [{"name": "a", "hosts": ["h"], "from": {"env": "A"}, "for": "true"}]}
    made = convert(given, RouseForm).credentials[0]
    assert made.source is not None and (made.source.env, made.when) == ("A", "true")
