"""Passwords in the format of htpasswd: bcrypt, SHA-crypt, apr1 and {SHA}, as Apache writes them.

A check takes as long as its hash wants, so it is done off the loop; what was found good is known
again by a keyed digest, for as long as the file says the same.
"""

import base64
import binascii
import hashlib
import hmac
import os
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from passlib.apache import HtpasswdFile

_HASHES = ("$2a$", "$2b$", "$2y$", "$5$", "$6$", "$apr1$", "{SHA}")
_MOST_KNOWN = 1024
_LONGEST = 1024


def library() -> "type[HtpasswdFile]":
    """Takes 0.1 s the first time, which few workers need: a document that has users brings it in
    when it is read."""
    from passlib.apache import HtpasswdFile

    return HtpasswdFile


class Users:
    """Of one text. Raises ValueError where a line is none, or its password stands there in the
    clear: neither is told."""

    def __init__(self, text: str) -> None:
        lines = [line.strip() for line in text.splitlines()]
        kept = [line for line in lines if line and not line.startswith("#")]
        for number, line in enumerate(kept):
            name, colon, hashed = line.partition(":")
            if not name or not colon or not hashed.startswith(_HASHES):
                raise ValueError(f"entry {number + 1} is no user:hash of bcrypt, SHA or apr1")
        self._file = library().from_string("\n".join(kept) + "\n")
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._key = os.urandom(32)

    def __repr__(self) -> str:
        return f"<Users {len(self._file.users())}>"

    def knows(self, user: str, password: str) -> bool:
        """Without computing anything: was this pair found good before?"""
        return self._digest(user, password) in self._known

    def check(self, user: str, password: str) -> bool:
        """Blocks for as long as the hash wants."""
        is_good = bool(self._file.check_password(user, password))
        if is_good:
            self._known[self._digest(user, password)] = None
            if len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
        return is_good

    def _digest(self, user: str, password: str) -> bytes:
        return hmac.digest(self._key, f"{user}\0{password}".encode(), hashlib.sha256)


def pair_of(encoded: str) -> tuple[str, str] | None:
    """User and password of Basic; None for what is none."""
    if len(encoded) > _LONGEST:
        return None
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
    user, colon, password = text.partition(":")
    if not colon or not user or "\0" in text or ":" in user:
        return None
    return user, password
