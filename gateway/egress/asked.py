"""Asked: what a head asks for, by which of the ways in, and to whom it goes. No I/O.

In the clear an actor sends absolute-form requests, base-URL requests and CONNECT; inside an opened
CONNECT, requests to the one host that was named.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.egress import hosts
from gateway.egress.ask import Way
from gateway.egress.deciding import BASE_URL_HOST
from gateway.egress.refusals import Refusal, Refused
from gateway.ingress.codec.grammar import MAX_HEAD, Malformed, check_unfinished
from gateway.ingress.codec.request import scan_fields

if TYPE_CHECKING:
    from gateway.egress.connecting import Opening
    from gateway.ingress.codec.request import RequestHead

_CONNECT = re.compile(rb"CONNECT ([\x21-\x7e]{1,300}) HTTP/1\.[01]")
_SCHEME = re.compile(rb"(?:\r\n){0,2}[^ \r\n]+ (?i:(https?))://")
_PATH_TOKEN = re.compile(r"/~([A-Za-z0-9._-]{1,200})(?=[/?]|\Z)")
"""Before the path of a base URL, for clients that know of no proxy: `http://host:port/~token`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    way: Way
    scheme: str
    host: str
    port: int
    target: str


def target_of(raw: bytes, head: "RequestHead") -> tuple[str, str]:
    """Of a request in the clear, without the token that may stand before it, and that token."""
    target = head.target.decode()
    in_path = None if _SCHEME.match(raw) is not None else _PATH_TOKEN.match(target)
    if in_path is None:
        return target, ""
    return target[in_path.end() :] or "/", in_path[1]


def outside(raw: bytes, head: "RequestHead", target: str) -> "Asked":
    """A request in the clear. Raises Refusal, BadHost."""
    if not head.fields.host:
        raise Refusal(Refused.INVALID, "a request without Host")
    scheme = _SCHEME.match(raw)
    kind, way = "http", Way.BASE_URL
    if scheme is not None:
        kind = scheme[1].lower().decode()
    named = head.fields.host.decode("latin-1")
    host, port = hosts.split_port(named, 443 if kind == "https" else 80)
    if scheme is not None and host != BASE_URL_HOST:
        way = Way.ABSOLUTE
    return Asked(way=way, scheme=kind, host=host, port=port, target=target)


def direct(raw: bytes, head: "RequestHead", port: int) -> "Asked":
    """A request as to the server itself, at the port that was called. Raises Refusal, BadHost."""
    if not head.fields.host:
        raise Refusal(Refused.INVALID, "a request without Host")
    scheme = _SCHEME.match(raw)
    host, named = hosts.split_port(head.fields.host.decode("latin-1"), port)
    if named != port or (scheme is not None and scheme[1].lower() != b"http"):
        raise Refusal(Refused.MISDIRECTED, f"this is port {port}, by http")
    target = head.target.decode()
    return Asked(way=Way.ABSOLUTE, scheme="http", host=host, port=port, target=target)


def inside(opening: "Opening", raw: bytes, head: "RequestHead", *, is_tls: bool) -> "Asked":
    """A request in an opened CONNECT. Raises Refusal, BadHost."""
    scheme = "https" if is_tls else "http"
    named = head.fields.host
    host, port = hosts.split_port(named.decode("latin-1"), 443 if scheme == "https" else 80)
    # Some clients leave the port out of Host even where it is none of the defaults.
    is_bare = named.rpartition(b":")[0] == b""
    if host != opening.host or (port != opening.port and not is_bare):
        raise Refusal(
            Refused.MISDIRECTED, f"CONNECT was for {opening.host}:{opening.port}, Host is not"
        )
    absolute = _SCHEME.match(raw)
    if absolute is not None and absolute[1].lower().decode() != scheme:
        raise Refusal(Refused.MISDIRECTED, "the target's scheme is not that of the tunnel")
    return Asked(
        way=Way.INTERCEPTED,
        scheme=scheme,
        host=opening.host,
        port=opening.port,
        target=head.target.decode(),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectHead:
    authority: str
    """As it came."""
    block: bytes
    host_field: bytes
    size: int

    def where(self) -> tuple[str, int]:
        """Raises Refusal, BadHost."""
        host, port = hosts.split_port(self.authority, 0)
        if not port:
            raise hosts.BadHost("CONNECT names a port")
        field = self.host_field.decode("latin-1")
        if field and hosts.split_port(field, port)[0] != host:
            raise Refusal(Refused.MISDIRECTED, "Host is not what CONNECT names")
        return host, port


def scan_connect(data: bytes) -> ConnectHead | None:
    """None while it is not whole. Raises Malformed."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        check_unfinished(data)
        return None
    line_end = data.find(b"\r\n")
    match = _CONNECT.fullmatch(data, 0, line_end)
    if match is None or end > MAX_HEAD:
        raise Malformed("the request line is not `CONNECT host:port HTTP/1.1`")
    block = data[line_end:end]
    fields = scan_fields(block)
    if fields.has_body:
        raise Malformed("CONNECT with a body")
    return ConnectHead(
        authority=match[1].decode("ascii"), block=block, host_field=fields.host, size=end + 4
    )
