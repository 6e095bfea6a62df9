"""JSON Web Tokens of an identity provider: signature, issuer, audience and time, strictly.

PyJWT decides about signature and claims; what it may use is pinned here, so that nothing in a
token's own header widens it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt

from gateway.ingress.auth.identity import ALGORITHMS, EVERYWHERE, Identity, KeysAway, Kind
from gateway.ingress.auth.keysets import KeySet

_LONGEST = 16 * 1024
# Deeply nested JSON ends in RecursionError, a number past all bounds in OverflowError.
_NO_TOKEN = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtRules:
    issuer: str
    audience: str
    """A token must be made for us: the provider's other tokens open nothing here."""
    algorithms: frozenset[str] = frozenset(ALGORITHMS)
    scopes_claim: str = ""
    """Holds where the bearer may go, a list or words; empty: everywhere."""
    leeway_s: float = 30.0
    """By how much the provider's clock may differ from ours."""


class JwtVerifier:
    """`accept` gives it keys, and may be called again. Before that, nothing can be judged."""

    def __init__(self, rules: JwtRules, *, want_keys: Callable[[], bool] = lambda: False) -> None:
        self._rules = rules
        self._keys: KeySet | None = None
        self._want_keys = want_keys
        """Asks for a look at the source; True when one will be taken soon."""

    def __repr__(self) -> str:
        return f"<JwtVerifier of {self._rules.issuer} {self._keys!r}>"

    def accept(self, keys: KeySet) -> None:
        self._keys = keys

    def verify(self, credential: bytes, now: float) -> Identity | None:
        if credential.count(b".") != 2 or len(credential) > _LONGEST:
            return None
        try:
            token = credential.decode("ascii")
            header = jwt.get_unverified_header(token)
            issuer = jwt.decode(token, options={"verify_signature": False}).get("iss")
        except _NO_TOKEN:
            return None
        if issuer != self._rules.issuer:
            return None  # an actor's own affair, perhaps: no reason to wait for our provider's keys
        algorithm, key_id = header.get("alg"), header.get("kid")
        # RFC 7515, section 4.1.11: what is critical and not understood makes it invalid.
        if not isinstance(algorithm, str) or "crit" in header:
            return None
        if algorithm not in self._rules.algorithms:
            return None
        if self._keys is None:
            raise KeysAway
        candidates = self._keys.candidates(key_id, algorithm)
        if not candidates and self._want_keys():
            raise KeysAway  # perhaps of a key that the provider has only just begun to use
        for key in candidates:
            identity = self._identity(token, key.public, algorithm)
            if identity is not None:
                return identity
        return None

    def _identity(self, token: str, key: Any, algorithm: str) -> Identity | None:
        rules = self._rules
        try:
            claims = jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                issuer=rules.issuer,
                audience=rules.audience,
                leeway=rules.leeway_s,
                options={"require": ["exp", "iss", "aud"]},
            )
            until = float(claims["exp"]) + rules.leeway_s
        except _NO_TOKEN:
            return None
        return Identity(kind=Kind.JWT, scopes=self._scopes(claims), until=until)

    def _scopes(self, claims: dict[str, Any]) -> frozenset[str]:
        name = self._rules.scopes_claim
        if not name:
            return frozenset((EVERYWHERE,))
        said = claims.get(name)
        if isinstance(said, str):
            return frozenset(said.split())
        if isinstance(said, list):
            return frozenset(each for each in said if isinstance(each, str))
        return frozenset()
