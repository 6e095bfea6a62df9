"""Identity: what a genuine credential says, and the seam of those that verify one."""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from placement.model import ActorId

EVERYWHERE = "*"

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip
"""Signatures by a private key only. With an HMAC, whoever can verify can also forge, and a public
key could be passed off as its secret; `none` is no signature."""


class Kind(StrEnum):
    """How a caller may show who it is; a namespace accepts some of them."""

    TOKEN = "token"
    """A static token from a file of hashes."""
    JWT = "jwt"
    ACTOR = "actor"
    """A token of ours for one actor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    kind: Kind
    scopes: frozenset[str]
    """Where it may go: `*`, a namespace, or `namespace/name`."""
    until: float = math.inf
    """Unix time at which the credential ends."""

    def may_enter(self, actor: ActorId) -> bool:
        scopes = self.scopes
        return EVERYWHERE in scopes or actor.namespace in scopes or str(actor) in scopes


class KeysAway(Exception):
    """A credential cannot be judged now: the keys for it are still being fetched."""


class Verifier(Protocol):
    """Judges credentials of one kind."""

    def verify(self, credential: bytes, now: float) -> Identity | None:
        """None unless it is genuine, ours and in force at `now` (Unix time). Raises KeysAway."""
        ...
