"""Static tokens: a file of hashes, so that whoever reads the file can't come in with it."""

import hashlib
import hmac
import re
from dataclasses import dataclass

from gateway.ingress.auth.identity import EVERYWHERE, Identity, Kind
from placement.model import ActorId, InvalidName, check_label

SHORTEST = 24
"""Bytes of a token. One SHA-256 is enough only for what a machine made: it is quick to try."""
_DIGEST = re.compile(r"[0-9a-f]{64}")


class BadTokens(ValueError):
    """A line of the file that can't be used; says which, never the hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    digest: bytes
    identity: Identity


class StaticTokens:
    """`accept` replaces all of them at once."""

    def __init__(self) -> None:
        self._entries: dict[bytes, _Entry] = {}

    def __repr__(self) -> str:
        return f"<StaticTokens {len(self._entries)}>"

    def accept(self, text: str) -> None:
        """Take over a file: lines of `label sha256:<hex> scope,scope`. Raises BadTokens."""
        self._entries = {entry.digest: entry for entry in _read(text)}

    def verify(self, credential: bytes, now: float) -> Identity | None:
        if len(credential) < SHORTEST:
            return None
        digest = hashlib.sha256(credential).digest()
        # A look-up takes longer the more of the hash agrees, which tells a guesser nothing: it
        # can't steer the hash. The comparison that decides takes the same time for all.
        entry = self._entries.get(digest)
        if entry is None or not hmac.compare_digest(entry.digest, digest):
            return None
        return entry.identity


def _read(text: str) -> list[_Entry]:
    entries: list[_Entry] = []
    labels: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 3:
            raise BadTokens(f"line {number}: write `label sha256:<64 hex digits> scope,scope`")
        label, digest, scopes = words
        if label in labels:
            raise BadTokens(f"line {number}: {label[:40]!r} is there twice")
        labels.add(label)
        entries.append(_Entry(digest=_digest(digest, number), identity=_identity(scopes, number)))
    return entries


def _digest(text: str, number: int) -> bytes:
    algorithm, _, digits = text.partition(":")
    if algorithm != "sha256" or _DIGEST.fullmatch(digits) is None:
        raise BadTokens(f"line {number}: the second word is not sha256:<64 hex digits>")
    return bytes.fromhex(digits)


def _identity(text: str, number: int) -> Identity:
    scopes = text.split(",")
    for scope in scopes:
        try:
            if "/" in scope:
                ActorId.parse(scope)
            elif scope != EVERYWHERE:
                check_label(scope, "namespace")
        except InvalidName as error:
            raise BadTokens(f"line {number}: {error}") from error
    return Identity(kind=Kind.TOKEN, scopes=frozenset(scopes))
