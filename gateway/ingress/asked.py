"""Asked: a request's head and all that was made of it. A client mostly repeats its heads, and one
that is equal to its connection's last is not looked at, edited or written out a second time.
"""

from gateway.ingress.accesslog import told_request
from gateway.ingress.codec.request import RequestHead
from gateway.ingress.naming import Place

_LARGEST_KEPT = 8192
"""Bytes of a head that a connection remembers while it is idle."""


class Asked:
    __slots__ = ("came", "forward", "head", "is_kept", "place", "raw", "text", "told")

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

    def __repr__(self) -> str:
        return f"<Asked {self.head!r} of {self.place.demand.actor}>"

    def is_for(self, head: RequestHead, place: Place) -> bool:
        """Did `came` go on as `head` to `place`, this time as well?"""
        mine = self.head
        return place is self.place and (
            head is mine or (head.fields is mine.fields and head.target == mine.target)
        )

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
    return b"%b %b HTTP/1.1%b%b\r\nX-Request-Id: " % (
        head.method,
        place.target or head.target,
        forward,
        more,
    )
