"""Proxy tokens: of this worker, for one copy."""

import pytest

from gateway.egress.tokens import ProxyTokens

OURS = ProxyTokens(b"k" * 32)


def test_a_token_names_its_copy() -> None:
    assert OURS.read(OURS.mint("rouse-abc-3")) == "rouse-abc-3"


@pytest.mark.parametrize(
    "forged",
    ["", "x", "rouse-abc-3", "rouse-abc-3.", OURS.mint("rouse-abc-3")[:-1] + "A",
     OURS.mint("rouse-abc-3").replace("abc-3", "abc-4"), "ü.ü",
     ProxyTokens(b"o" * 32).mint("rouse-abc-3")],
)  # fmt: skip
def test_a_forged_one_names_nobody(forged: str) -> None:
    if forged != OURS.mint("rouse-abc-3"):
        assert OURS.read(forged) is None


def test_the_key_is_in_no_repr() -> None:
    assert "kkk" not in repr(OURS)
