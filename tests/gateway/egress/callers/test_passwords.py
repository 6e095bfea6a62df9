"""Passwords: which hashes are known, and that none stands in the clear."""

import base64

import pytest

from gateway.egress.callers.passwords import Users, pair_of


@pytest.mark.parametrize(
    "line",
    [
        "u:$apr1$55ccMn2Y$fJd2L/3rE76LeV2kFJrQD1",
        "u:{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM=",
        "u:$2b$04$7niifsuj5ksCvQ6hZSGdGuKkPlepN9NGy4r94IFlDZhkIEoE0mhDm",
        "u:$5$rounds=1000$kkydhRnxvMSE.9zB$CKzyhdwxbwsw9pbQL4vzdVoRIKkRIM1qFgEbXN.WcY4",
    ],
)
def test_known_hashes_are_checked_and_then_known(line: str) -> None:
    users = Users(f"# comment\n\n{line}\n")
    assert not users.knows("u", "pw") and users.check("u", "pw") and users.knows("u", "pw")
    assert not users.check("u", "no") and not users.knows("u", "no")
    assert not users.check("v", "pw")


@pytest.mark.parametrize("line", ["u:plain", "u", ":x", "u:rqXexS6ZhobKA"])
def test_a_password_in_the_clear_is_refused_and_not_told(line: str) -> None:
    with pytest.raises(ValueError, match="entry 1") as caught:
        Users(line)
    assert "plain" not in str(caught.value)


def test_pairs() -> None:
    def encoded(text: bytes) -> str:
        return base64.b64encode(text).decode()

    assert pair_of(encoded(b"a:b:c")) == ("a", "b:c")
    for bad in ("", "!", encoded(b"nocolon"), encoded(b":x"), encoded(b"\xff:x"), "A" * 2000):
        assert pair_of(bad) is None
