"""What callers are checked against: users and keys, parsed once for each text that a source gives.

A text that can't be used leaves the last good one in force, and is told once.
"""

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

from gateway.egress.callers.passwords import Users
from gateway.egress.config.values import Source
from gateway.ingress.auth.identity import ALGORITHMS
from gateway.ingress.auth.keysets import KeySet, read_key_set

log = logging.getLogger(__name__)

Parsed = TypeVar("Parsed")


class KeysAway(Exception):
    """Nothing of this source could ever be used."""


class _Shelf(Generic[Parsed]):
    def __init__(self, value: Callable[[Source], str], parse: Callable[[str], Parsed]) -> None:
        self._value = value
        self._parse = parse
        self._kept: dict[Source, tuple[str, Parsed | None]] = {}

    def of(self, source: Source) -> Parsed:
        """Raises KeysAway."""
        text, parsed = self._kept.get(source, ("", None))
        try:
            now = self._value(source)
        except LookupError:
            now = text  # it can't be had now: what it gave last holds
        if now and now != text:
            try:
                parsed = self._parse(now)
            except ValueError as error:
                where = str(source.file) if source.file is not None else "the document"
                log.error("keys can't be used", extra={"source": where, "why": str(error)[:200]})
            self._kept[source] = (now, parsed)
        if parsed is None:
            raise KeysAway
        return parsed


class Keyring:
    """`value` gives a source's text, or raises LookupError."""

    def __init__(self, value: Callable[[Source], str]) -> None:
        self._users = _Shelf(value, Users)
        self._keys = _Shelf(value, _key_set)

    def __repr__(self) -> str:
        return "<Keyring>"

    def users(self, source: Source) -> Users:
        """Raises KeysAway."""
        return self._users.of(source)

    def keys(self, source: Source) -> KeySet:
        """Raises KeysAway."""
        return self._keys.of(source)


def _key_set(text: str) -> KeySet:
    return read_key_set(text, frozenset(ALGORITHMS))
