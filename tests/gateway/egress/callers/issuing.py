"""An issuer of tokens, with a key of its own."""

import json
import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key


class Issuer:
    def __init__(self, name: str) -> None:
        self.name = name
        self._key = generate_private_key(SECP256R1())
        public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key()))
        self.jwks = json.dumps({"keys": [{**public, "kid": "k1", "alg": "ES256"}]})

    def token(self, **claims: Any) -> str:  # claims are whatever JSON is
        said = {"iss": self.name, "aud": "me", "exp": int(time.time()) + 60, **claims}
        return jwt.encode(said, self._key, algorithm="ES256", headers={"kid": "k1"})
