"""Scopes: everything, a namespace, or one actor."""

import pytest

from gateway.ingress.auth.identity import Identity, Kind
from placement.model import ActorId


@pytest.mark.parametrize(
    ("scope", "may"),
    [
        ("*", True),
        ("demo", True),
        ("demo/c1", True),
        ("demo/c2", False),
        ("c1", False),
        ("", False),
    ],
)
def test_a_scope_opens_what_it_names(scope: str, may: bool) -> None:
    identity = Identity(kind=Kind.JWT, scopes=frozenset((scope,)))
    assert identity.may_enter(ActorId("demo", "c1")) is may
