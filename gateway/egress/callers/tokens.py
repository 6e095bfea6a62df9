"""Tokens of issuers (JWT): signature, issuer, audience and time, by PyJWT, with all it may use
pinned here, so that nothing in a token's own header widens it.
"""

from collections.abc import Mapping
from typing import Any

import jwt

from gateway.egress.config.gate_model import Issuer
from gateway.ingress.auth.identity import ALGORITHMS
from gateway.ingress.auth.keysets import KeySet

_LONGEST = 16 * 1024
_LEEWAY_S = 30.0
# Deeply nested JSON ends in RecursionError, a number past all bounds in OverflowError.
_NO_TOKEN = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)

Claims = Mapping[str, Any]


class BadToken(Exception):
    """Says why, in words that show nothing of the token."""


def header_of(token: str) -> tuple[str | None, str]:
    """(key id, algorithm). Raises BadToken."""
    if token.count(".") != 2 or len(token) > _LONGEST or not token.isascii():
        raise BadToken("it is no token")
    try:
        header = jwt.get_unverified_header(token)
    except _NO_TOKEN:
        raise BadToken("its header is malformed") from None
    key_id, algorithm = header.get("kid"), header.get("alg")
    # RFC 7515, section 4.1.11: what is critical and not understood makes it invalid.
    if "crit" in header or algorithm not in ALGORITHMS:
        raise BadToken("its algorithm is none that is taken")
    if key_id is not None and not isinstance(key_id, str):
        raise BadToken("its key id is no text")
    return key_id, algorithm


def issuer_of(token: str) -> str | None:
    """What it says itself; nothing is checked yet."""
    try:
        said = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except _NO_TOKEN:
        return None
    return said if isinstance(said, str) else None


def verified(token: str, issuer: Issuer, keys: KeySet) -> Claims:
    """Raises BadToken."""
    key_id, algorithm = header_of(token)
    candidates = keys.candidates(key_id, algorithm)
    if not candidates:
        raise BadToken("it is signed with a key that its issuer does not show")
    required = {*issuer.required, "iss"}
    if issuer.audiences:
        required.add("aud")
    options: dict[str, Any] = {"require": sorted(required), "verify_aud": bool(issuer.audiences)}
    why = "it is not signed by its issuer"
    for key in candidates:
        try:
            claims: Claims = jwt.decode(
                token,
                key.public,
                algorithms=[algorithm],
                issuer=issuer.name,
                audience=list(issuer.audiences) or None,
                leeway=_LEEWAY_S,
                options=options,  # type: ignore[arg-type]  # a TypedDict to PyJWT
            )
        except jwt.InvalidSignatureError:
            continue
        except _NO_TOKEN as error:
            why = _WORDS.get(type(error), "it does not pass")
            continue
        return claims
    raise BadToken(why)


_WORDS: Mapping[type[BaseException], str] = {
    jwt.ExpiredSignatureError: "it has expired",
    jwt.ImmatureSignatureError: "it is not valid yet",
    jwt.InvalidIssuerError: "it is of another issuer",
    jwt.InvalidAudienceError: "it is for another audience",
    jwt.MissingRequiredClaimError: "it lacks a claim that is required",
}
