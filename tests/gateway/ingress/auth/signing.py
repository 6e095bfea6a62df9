"""An identity provider: keys, the set it publishes, and tokens it would (or never would) sign."""

import base64
import json
import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ISSUER = "https://login.example"
AUDIENCE = "rouse"


@cache
def private_key(name: str) -> Any:
    """The same for the same name, e.g. `rsa-1`, `rsa1024-1`, `ec-1`, `ed-1`."""
    kind = name.partition("-")[0]
    if kind == "ec":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "ed":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, int(kind.removeprefix("rsa") or 2048))


def algorithm_of(name: str) -> str:
    return {"ec": "ES256", "ed": "EdDSA"}.get(name.partition("-")[0], "RS256")


def jwk(name: str, *, private: bool = False, **changes: object) -> dict[str, Any]:
    maker = jwt.get_algorithm_by_name(algorithm_of(name))
    key = private_key(name)
    text = maker.to_jwk(key if private else key.public_key(), as_dict=True)
    return {**text, "kid": name, "use": "sig", "alg": algorithm_of(name)} | changes


def key_set(*names: str) -> bytes:
    return json.dumps({"keys": [jwk(name) for name in names]}).encode()


def claims(**changes: object) -> dict[str, Any]:
    whole = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": int(time.time()) + 600}
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def token(name: str = "rsa-1", *, kid: str | None = "", **changes: object) -> bytes:
    headers = {"kid": name if kid == "" else kid} if kid is not None else {}
    # One layer below jwt.encode, which refuses to sign claims that no provider should.
    text = json.dumps(claims(**changes)).encode()
    made = jwt.PyJWS().encode(text, private_key(name), algorithm_of(name), headers)
    return made.encode()


def by_hand(header: dict[str, Any], body: dict[str, Any], signature: bytes = b"") -> bytes:
    """What no library would make."""
    parts = (json.dumps(header).encode(), json.dumps(body).encode(), signature)
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
