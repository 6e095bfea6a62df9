"""Key sets: public keys out of a JWKS document (RFC 7517), each with what it may verify. No I/O."""

import json
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from gateway.ingress.auth.identity import ALGORITHMS

_RSA = frozenset(name for name in ALGORITHMS if name[:2] in ("RS", "PS"))
_BY_CURVE = {
    ("EC", "P-256"): frozenset({"ES256"}),
    ("EC", "P-384"): frozenset({"ES384"}),
    ("EC", "P-521"): frozenset({"ES512"}),
    ("OKP", "Ed25519"): frozenset({"EdDSA"}),
}
_LEAST_RSA_BITS = 2048
_MOST_TRIED = 4


class BadKeySet(ValueError):
    """The document is no usable JWKS; says why, never a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    id: str | None
    algorithms: frozenset[str]
    public: Any
    """A public key object of `cryptography`, as PyJWT takes it."""


class KeySet:
    def __init__(self, keys: list[SigningKey]) -> None:
        self._keys = keys

    def __repr__(self) -> str:
        return f"<KeySet {', '.join(str(key.id) for key in self._keys)}>"

    def candidates(self, key_id: str | None, algorithm: str) -> list[SigningKey]:
        """Those that a token with this header may have been signed by; few, whatever it says."""
        fitting = [key for key in self._keys if algorithm in key.algorithms]
        if key_id is not None:
            fitting = [key for key in fitting if key.id == key_id]
        return fitting[:_MOST_TRIED]


def read_key_set(text: bytes | str, allowed: frozenset[str]) -> KeySet:
    """Raises BadKeySet. Keys for other ends (encryption, HMAC, unknown curves) are left out."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadKeySet("it is not JSON") from error
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise BadKeySet('it is not {"keys": [...]}')
    keys = [key for entry in entries if (key := _read(entry, allowed)) is not None]
    if not keys:
        raise BadKeySet(f"no key in it is for {', '.join(sorted(allowed))}")
    return KeySet(keys)


def _read(entry: object, allowed: frozenset[str]) -> SigningKey | None:
    if not isinstance(entry, dict):
        raise BadKeySet("a key is not a mapping")
    algorithms = _algorithms(entry) & allowed
    if not algorithms or entry.get("use", "sig") != "sig":
        return None
    key_id = entry.get("kid")
    if key_id is not None and not isinstance(key_id, str):
        raise BadKeySet("a kid is not a string")
    if "d" in entry:
        raise BadKeySet("a private key stands in it: it must be changed, not published")
    try:
        public = jwt.PyJWK.from_dict(entry, algorithm=min(algorithms)).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise BadKeySet(f"the key {str(key_id)[:40]!r} can't be read") from error
    if isinstance(public, RSAPublicKey) and public.key_size < _LEAST_RSA_BITS:
        raise BadKeySet(f"the key {str(key_id)[:40]!r} has fewer than {_LEAST_RSA_BITS} bits")
    return SigningKey(id=key_id, algorithms=algorithms, public=public)


def _algorithms(entry: dict[str, Any]) -> frozenset[str]:
    """What the key may verify by its own form, narrowed by what it says."""
    kind, curve = entry.get("kty"), entry.get("crv")
    able = _RSA if kind == "RSA" else _BY_CURVE.get((str(kind), str(curve)), frozenset())
    said = entry.get("alg")
    return able if said is None else able & {str(said)}
