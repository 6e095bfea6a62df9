"""Asked: a request's head and all that was made of it. A client mostly repeats its heads, and one
that is equal to its connection's last is not looked at, edited or written out a second time.
"""

from typing import Final

from gateway.ingress.accesslog import told_request
from gateway.ingress.codec.request import RequestHead
from gateway.ingress.naming import Place

_LARGEST_KEPT = 8192
"""Bytes of a head that a connection remembers while it is idle."""


_ID: Final = b"\r\nX-Request-Id: "
_END: Final = b"\r\n\r\n"


def stem_of(raw: bytes, request_id: bytes) -> bytes:
    """A head without the id in its last line, where our own relays have it; else nothing."""
    last = _ID + request_id + _END
    return raw[: -len(request_id) - len(_END)] if request_id and raw.endswith(last) else b""


class Asked:
    __slots__ = (
        "_hop_fields",
        "_hop_text",
        "came",
        "forward",
        "head",
        "is_kept",
        "place",
        "raw",
        "stem",
        "text",
        "told",
    )

    def __init__(
        self, raw: bytes, came: RequestHead, head: RequestHead, place: Place, forward: bytes
    ) -> None:
        self.raw = raw
        """As it came, its empty line included."""
        self.came = came
        self.head = head
        """As it goes on: without a credential of ours."""
        self.place = place
        self.forward = forward
        """Its fields as they go on (`fields`)."""
        self.text = _written(head, place, forward)
        """For the actor, up to the value of X-Request-Id, which differs each time."""
        self.told = b""
        """Of the access log's line, what does not differ; see `tell`."""
        self.is_kept = len(raw) <= _LARGEST_KEPT
        self.stem = stem_of(raw, came.fields.request_id)
        """`raw` up to the id in its last line; empty when that is something else."""
        self._hop_fields = b""
        self._hop_text = b""

    def __repr__(self) -> str:
        return f"<Asked {self.head!r} of {self.place.demand.actor}>"

    def is_for(self, head: RequestHead, place: Place) -> bool:
        """Did `came` go on as `head` to `place`, this time as well?"""
        mine = self.head
        return place is self.place and (
            head is mine or (head.fields is mine.fields and head.target == mine.target)
        )

    def hop_text(self, hop_fields: bytes) -> bytes:
        """As `text`, for another door of ours: the fields that are for this hop come before the id,
        which stays last, so that the door finds the rest equal to its last head."""
        if hop_fields != self._hop_fields:
            self._hop_fields = hop_fields
            self._hop_text = b"%b\r\n%b%b" % (self.text[: -len(_ID)], hop_fields, _ID[2:])
        return self._hop_text

    def tell(self, client: bytes) -> bytes:
        if not self.told:
            self.told = told_request(client, self.place.actor, self.head.method, self.head.target)
        return self.told


def _written(head: RequestHead, place: Place, forward: bytes) -> bytes:
    more = b""
    if place.prefix:
        more = b"\r\nX-Forwarded-Prefix: %b" % place.prefix
    if head.fields.upgrade and head.minor:
        more += b"\r\nConnection: upgrade\r\nUpgrade: %b" % head.fields.upgrade
    if not head.fields.host:
        # HTTP/1.0 may come without, but goes on as HTTP/1.1, which may not (RFC 9112, 3.2).
        more += b"\r\nHost: %b" % place.actor.replace(b"/", b".")
    line = b"%b %b HTTP/1.1" % (head.method, place.target or head.target)
    return line + forward + more + _ID
