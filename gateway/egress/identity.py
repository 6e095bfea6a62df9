"""Identity: who speaks on a connection, by the socket that it came in by, else by a token. Once
known it stays, and an actor has only so many connections."""

import base64
import binascii
import re
from typing import TYPE_CHECKING

from gateway.egress.refusals import Refusal, Refused

if TYPE_CHECKING:
    from gateway.egress.parts import Parts
    from gateway.egress.seams import Caller

MOST_CONNECTIONS = 512
"""Of one copy of an actor: it must not use up the descriptors of all."""
_TOKEN = re.compile(rb"\r\n(?i:proxy-authorization):[ \t]*([^\r]*)")


class Identity:
    __slots__ = ("_block", "_own", "_parts", "caller")

    def __init__(self, parts: "Parts", own: "Caller | None") -> None:
        """`own`: whose socket it came in by, where an actor has one of its own."""
        self._parts = parts
        self._own = own
        self._block: bytes | None = None
        """The fields that it was last known by."""
        self.caller = own

    def __repr__(self) -> str:
        return f"<Identity {self.caller.actor.id if self.caller is not None else 'nobody yet'}>"

    def arrive(self) -> None:
        if self._own is not None:
            self._parts.open_by[self._own.key] += 1

    def leave(self) -> None:
        if self.caller is not None:
            self._parts.leave(self.caller.key)

    def learn(self, block: bytes, in_path: str = "") -> "Caller":
        """From a head's fields, or the token in its path. Raises Refusal."""
        if self.caller is not None and block == self._block and not in_path:
            return self.caller
        named = self._named(block, in_path)
        if named is None:
            raise Refusal(Refused.NO_IDENTITY, "use the proxy URL in HTTP_PROXY as it is")
        if self.caller is not None and named.key != self.caller.key:
            # One connection, one actor: what is remembered of it must not serve another.
            raise Refusal(Refused.FORBIDDEN, "this connection is another actor's")
        if self.caller is None:
            self._parts.open_by[named.key] += 1
        self.caller, self._block = named, block
        if self._parts.open_by[named.key] > MOST_CONNECTIONS:
            raise Refusal(Refused.RATE, f"more than {MOST_CONNECTIONS} connections are open")
        return named

    def _named(self, block: bytes, in_path: str) -> "Caller | None":
        given = [_token_of(each) for each in _TOKEN.findall(block)]
        if in_path:
            given.append(in_path)
        if len(given) > 1:
            raise Refusal(Refused.BAD_IDENTITY, "more than one actor token")
        named = self._parts.callers.by_token(given[0]) if given else None
        if given and named is None:
            raise Refusal(Refused.BAD_IDENTITY, "it is none, or of an actor that was suspended")
        if self._own is None:
            return named
        if named is not None and named.key != self._own.key:
            raise Refusal(Refused.FORBIDDEN, "this token is another actor's")
        return self._own


def _token_of(value: bytes) -> str:
    """The password of Basic, else a Bearer."""
    scheme, _space, given = value.strip(b" \t").partition(b" ")
    if scheme.lower() == b"bearer":
        return given.strip().decode("latin-1")
    if scheme.lower() != b"basic":
        return ""
    try:
        pair = base64.b64decode(given.strip(), validate=True)
    except binascii.Error:
        return ""
    return pair.partition(b":")[2].decode("latin-1")
