"""JWTs: forged, expired, foreign and confused ones open nothing; real provider keys, real clock."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.ingress.auth.identity import ALGORITHMS, KeysAway, Kind
from gateway.ingress.auth.jwts import JwtRules, JwtVerifier
from gateway.ingress.auth.keysets import read_key_set
from placement.model import ActorId
from tests.gateway.ingress.auth.signing import (
    AUDIENCE,
    ISSUER,
    by_hand,
    claims,
    key_set,
    private_key,
    token,
)

NOW = time.time()


def verifier(*names: str, scopes_claim: str = "") -> JwtVerifier:
    rules = JwtRules(issuer=ISSUER, audience=AUDIENCE, scopes_claim=scopes_claim)
    made = JwtVerifier(rules)
    made.accept(read_key_set(key_set(*names), frozenset(ALGORITHMS)))
    return made


@pytest.mark.parametrize("name", ["rsa-1", "ec-1", "ed-1"])
def test_a_token_of_the_provider_is_genuine_until_it_expires(name: str) -> None:
    identity = verifier(name).verify(token(name, exp=int(NOW) + 10_000), NOW)
    assert identity is not None and identity.kind is Kind.JWT
    assert identity.until == int(NOW) + 10_030 and identity.may_enter(ActorId("any", "one"))


def test_a_token_without_a_key_id_is_tried_with_the_keys_that_fit() -> None:
    assert verifier("rsa-1", "rsa-2").verify(token("rsa-2", kid=None), NOW) is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": int(NOW) - 60},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("inf")},
        {"nbf": int(NOW) + 3600},
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "another-service"},
        {"aud": None},
    ],
    ids=str,
)
def test_expired_early_and_foreign_tokens_open_nothing(wrong: dict[str, Any]) -> None:
    assert verifier("rsa-1").verify(token("rsa-1", kid="rsa-1", **wrong), NOW) is None


def test_a_token_of_another_key_under_a_known_id_is_forged() -> None:
    assert verifier("rsa-1").verify(token("rsa-2", kid="rsa-1"), NOW) is None


def test_a_changed_claim_breaks_the_signature() -> None:
    head, _body, signature = token(scope="demo").split(b".")
    body = base64.urlsafe_b64encode(json.dumps(claims(scope="*")).encode()).rstrip(b"=")
    assert verifier("rsa-1").verify(b".".join((head, body, signature)), NOW) is None


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", "nOnE"])
def test_alg_none_is_refused(algorithm: str) -> None:
    made = by_hand({"alg": algorithm, "typ": "JWT", "kid": "rsa-1"}, claims())
    assert verifier("rsa-1").verify(made, NOW) is None


def test_the_public_key_is_no_hmac_secret() -> None:
    public = private_key("rsa-1").public_key()
    secrets = (
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        key_set("rsa-1"),
    )
    for secret in secrets:
        unsigned = by_hand({"alg": "HS256", "kid": "rsa-1"}, claims()).rpartition(b".")[0]
        mac = hmac.new(secret, unsigned, hashlib.sha256).digest()
        made = unsigned + b"." + base64.urlsafe_b64encode(mac).rstrip(b"=")
        assert verifier("rsa-1").verify(made, NOW) is None


@pytest.mark.parametrize("more", [{"crit": ["b64"], "b64": False}, {"kid": 7}, {"alg": ["RS256"]}])
def test_headers_that_we_do_not_understand_are_refused(more: dict[str, object]) -> None:
    made = by_hand({"alg": "RS256", "kid": "rsa-1"} | more, claims(), b"signature")
    assert verifier("rsa-1").verify(made, NOW) is None


def test_a_key_in_the_tokens_own_header_is_not_used() -> None:
    import jwt

    own = json.loads(key_set("rsa-2"))["keys"][0]
    made = jwt.encode(claims(), private_key("rsa-2"), algorithm="RS256", headers={"jwk": own})
    assert verifier("rsa-1").verify(made.encode(), NOW) is None


@pytest.mark.parametrize(
    "nonsense",
    [b"..", b"a.b.c", b"\xff.\xff.\xff", b"x" * 20_000 + b"..", b"e30.e30.", b"W10.W10.W10"],
)
def test_nonsense_is_no_token(nonsense: bytes) -> None:
    assert verifier("rsa-1").verify(nonsense, NOW) is None


def test_deeply_nested_headers_are_no_token() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 9000).rstrip(b"=")
    assert verifier("rsa-1").verify(deep + b".e30.e30", NOW) is None


@pytest.mark.parametrize(
    ("said", "may"),
    [
        (["demo"], True),
        ("lab demo/c1", True),
        (["lab", 7], False),
        (None, False),
        ({"a": 1}, False),
    ],
)
def test_a_claim_says_where_the_bearer_may_go(said: object, may: bool) -> None:
    identity = verifier("rsa-1", scopes_claim="rouse").verify(token(rouse=said), NOW)
    assert identity is not None and identity.may_enter(ActorId("demo", "c1")) is may


def test_keys_change_as_the_provider_changes_them() -> None:
    made = verifier("rsa-1")
    assert made.verify(token("rsa-2"), NOW) is None
    made.accept(read_key_set(key_set("rsa-1", "rsa-2"), frozenset(ALGORITHMS)))
    assert made.verify(token("rsa-2"), NOW) is not None
    made.accept(read_key_set(key_set("rsa-2"), frozenset(ALGORITHMS)))
    assert made.verify(token("rsa-1"), NOW) is None


def test_without_keys_only_the_providers_own_tokens_must_wait() -> None:
    made = JwtVerifier(JwtRules(issuer=ISSUER, audience=AUDIENCE))
    with pytest.raises(KeysAway):
        made.verify(token(), NOW)
    assert made.verify(token(iss="https://other.example"), NOW) is None
    assert made.verify(b"a-static-token", NOW) is None


def test_an_unknown_key_id_waits_for_a_look_at_the_provider_where_one_is_due() -> None:
    due = [True, False]
    rules = JwtRules(issuer=ISSUER, audience=AUDIENCE)
    made = JwtVerifier(rules, want_keys=lambda: due.pop(0))
    made.accept(read_key_set(key_set("rsa-1"), frozenset(ALGORITHMS)))
    with pytest.raises(KeysAway):
        made.verify(token("rsa-2"), NOW)
    assert made.verify(token("rsa-2"), NOW) is None
