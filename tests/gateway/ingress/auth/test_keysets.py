"""Key sets: each key verifies only what it is for; what can't be used is said without keys."""

import json

import pytest

from gateway.ingress.auth.identity import ALGORITHMS
from gateway.ingress.auth.keysets import BadKeySet, read_key_set
from tests.gateway.ingress.auth.signing import jwk, key_set

ALL = frozenset(ALGORITHMS)


def test_a_key_is_a_candidate_for_its_id_and_algorithm_only() -> None:
    keys = read_key_set(key_set("rsa-1", "ec-1", "ed-1"), ALL)
    assert [key.id for key in keys.candidates("rsa-1", "RS256")] == ["rsa-1"]
    assert [key.id for key in keys.candidates(None, "ES256")] == ["ec-1"]
    assert [key.id for key in keys.candidates("ed-1", "EdDSA")] == ["ed-1"]
    assert keys.candidates("rsa-1", "ES256") == [] == keys.candidates("rsa-1", "PS256")
    assert keys.candidates("rsa-1", "HS256") == [] == keys.candidates("rsa-1", "none")


def test_keys_for_other_ends_are_left_out() -> None:
    entries = [
        jwk("rsa-1"),
        jwk("rsa-2", use="enc"),
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0", "alg": "HS256"},
        {"kty": "EC", "kid": "other", "crv": "secp256k1", "x": "AA", "y": "AA"},
    ]
    keys = read_key_set(json.dumps({"keys": entries}), ALL)
    assert repr(keys) == "<KeySet rsa-1>"


def test_a_key_without_an_algorithm_verifies_those_of_its_form_that_are_allowed() -> None:
    entry = {name: value for name, value in jwk("rsa-1").items() if name != "alg"}
    keys = read_key_set(json.dumps({"keys": [entry]}), frozenset({"RS512", "ES256"}))
    assert keys.candidates(None, "RS512") and not keys.candidates(None, "ES256")
    assert not keys.candidates(None, "RS256")


def test_many_keys_under_one_id_cost_few_tries() -> None:
    entries = [jwk("rsa-1") for _ in range(50)]
    keys = read_key_set(json.dumps({"keys": entries}), ALL)
    assert len(keys.candidates("rsa-1", "RS256")) == 4


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "keys"),
        (b'{"keys": []}', "no key"),
        (b'{"keys": [7]}', "mapping"),
        (json.dumps({"keys": [jwk("rsa-1", private=True)]}).encode(), "private"),
        (json.dumps({"keys": [jwk("rsa1024-1")]}).encode(), "2048"),
        (json.dumps({"keys": [jwk("rsa-1", n="AA")]}).encode(), "can't be read|2048"),
        (json.dumps({"keys": [jwk("rsa-1", kid=7)]}).encode(), "kid"),
    ],
)
def test_an_unusable_set_is_refused_with_the_reason(text: bytes, why: str) -> None:
    with pytest.raises(BadKeySet, match=why):
        read_key_set(text, ALL)
