"""Tokens: what PyJWT may use is pinned, and what is wrong is told without a word of the token."""

import base64
import json

import jwt
import pytest

from gateway.egress.callers import tokens
from gateway.egress.config import gate_model
from gateway.egress.config.values import Source
from gateway.ingress.auth.identity import ALGORITHMS
from gateway.ingress.auth.keysets import read_key_set
from tests.gateway.egress.callers.issuing import Issuer

NAME = "https://i.test"


def _issuer(*required: str) -> gate_model.Issuer:
    return gate_model.Issuer(name=NAME, audiences=("me",), required=required, keys=Source())


def test_what_is_required_has_to_be_there() -> None:
    made = Issuer(NAME)
    keys = read_key_set(made.jwks, frozenset(ALGORITHMS))
    assert tokens.verified(made.token(sub="a"), _issuer("exp", "sub"), keys)["sub"] == "a"
    with pytest.raises(tokens.BadToken, match="lacks a claim"):
        tokens.verified(made.token(), _issuer("sub"), keys)


@pytest.mark.parametrize(
    "header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": "ES256", "crit": ["x"]}, {"alg": 1}]
)
def test_a_tokens_own_header_widens_nothing(header: dict[str, object]) -> None:
    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    token = f"{part(header)}.{part({'iss': NAME})}.{part('x')}"
    with pytest.raises(tokens.BadToken):
        tokens.header_of(token)


def test_a_public_key_is_no_shared_secret() -> None:
    made = Issuer(NAME)
    keys = read_key_set(made.jwks, frozenset(ALGORITHMS))
    forged = jwt.encode({"iss": NAME, "aud": "me"}, "x" * 32, algorithm="HS256")
    with pytest.raises(tokens.BadToken) as caught:
        tokens.verified(forged, _issuer(), keys)
    assert forged not in str(caught.value)


def test_an_issuer_is_read_without_trust() -> None:
    assert tokens.issuer_of(Issuer(NAME).token()) == NAME
    assert tokens.issuer_of("a.b.c") is None
