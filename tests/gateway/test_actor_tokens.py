"""Actor tokens: what was signed is read, and nothing else is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.actor_tokens import ActorPass, ActorTokens, BadKeys, TokenKey, parse_keys
from placement.model import ActorId

OLD = TokenKey(id="k1", secret=b"1" * 32)
NEW = TokenKey(id="k2", secret=b"2" * 32)
ACTOR = ActorId("demo", "c1")
MINTED = ActorTokens([OLD]).mint(ACTOR, expires=2_000_000_000).encode()


def test_a_minted_token_says_whose_it_is_and_until_when() -> None:
    assert MINTED.startswith(b"rouse1.k1.demo.c1.2000000000.")
    found = ActorTokens([OLD]).read(MINTED)
    assert found == ActorPass(actor=ACTOR, expires=2_000_000_000)


def test_keys_are_changed_in_turn() -> None:
    both = ActorTokens([NEW, OLD])
    assert both.read(MINTED) is not None
    assert both.mint(ACTOR, expires=1).startswith("rouse1.k2.")
    both.accept([NEW])
    assert both.read(MINTED) is None


def test_another_keys_secret_under_the_same_id_signs_nothing() -> None:
    assert ActorTokens([TokenKey(id="k1", secret=b"x" * 32)]).read(MINTED) is None


@given(st.integers(0, len(MINTED) - 1), st.integers(0, 255))
def test_no_changed_byte_is_accepted(at: int, byte: int) -> None:
    changed = MINTED[:at] + bytes((byte,)) + MINTED[at + 1 :]
    assert (ActorTokens([OLD]).read(changed) is None) == (changed != MINTED)


@given(st.binary(max_size=200))
def test_any_bytes_are_no_token(text: bytes) -> None:
    assert ActorTokens([OLD]).read(text) is None


def test_a_key_file_is_lines_of_id_and_secret() -> None:
    assert parse_keys("# keys\nk2 " + "2" * 32 + "\n\nk1 " + "1" * 32 + " # old\n") == [NEW, OLD]
    assert "2222" not in repr(NEW) and "2222" not in repr(ActorTokens([NEW]))


@pytest.mark.parametrize("text", ["k1", "K_1 " + "1" * 32, "k1 short", "k1 a b", "a " + "1" * 31])
def test_a_bad_key_file_is_refused_without_its_secret(text: str) -> None:
    with pytest.raises(BadKeys, match="line 1") as caught:
        parse_keys(text)
    assert "1" * 31 not in str(caught.value)


def test_the_same_id_twice_and_no_key_at_all_are_refused() -> None:
    with pytest.raises(BadKeys, match="twice"):
        parse_keys(f"k {'1' * 32}\nk {'2' * 32}")
    with pytest.raises(BadKeys, match="no key"):
        ActorTokens([])
