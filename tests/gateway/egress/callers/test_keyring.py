"""Keys of callers: parsed once for each text, and a bad text leaves the good one in force."""

import logging

import pytest

from gateway.egress.callers.keyring import Keyring, KeysAway
from gateway.egress.config.values import Source

SHA = "{SHA}GpHWL3ymc5liWkNopqtdSjuqYHM="


def test_a_bad_text_leaves_the_last_good_one_in_force(caplog: pytest.LogCaptureFixture) -> None:
    texts = {"now": f"ann:{SHA}"}
    keyring, source = Keyring(lambda _source: texts["now"]), Source(env="X")
    users = keyring.users(source)
    assert users.check("ann", "pw") and keyring.users(source) is users
    texts["now"] = "ann:clear"
    with caplog.at_level(logging.ERROR):
        assert keyring.users(source) is users and keyring.users(source) is users
    assert len(caplog.records) == 1 and "clear" not in caplog.text
    texts["now"] = f"zoe:{SHA}"
    assert not keyring.users(source).check("ann", "pw")


def test_what_was_never_there_is_away() -> None:
    def away(_source: Source) -> str:
        raise LookupError

    with pytest.raises(KeysAway):
        Keyring(away).keys(Source(env="X"))


def test_what_can_not_be_had_now_is_as_it_was() -> None:
    given = [f"ann:{SHA}"]

    def value(_source: Source) -> str:
        if not given:
            raise LookupError
        return given.pop()

    keyring, source = Keyring(value), Source(env="X")
    assert keyring.users(source) is keyring.users(source)
