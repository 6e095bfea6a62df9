"""Edits of a head: what a hop removes from a request or an answer, and what it adds.

A block is cut with one substitution; nothing is made of a field that nobody asked about.
"""

import re
from enum import Enum, auto
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from gateway.ingress.codec.request import RequestFields
from gateway.ingress.codec.response import AnswerHead


class Trust(Enum):
    """Who sent the request, and so which of its claims about the way it came are kept."""

    CLIENT = auto()
    """Nobody we know: every claim is replaced."""
    PROXY = auto()
    """A proxy from the settings: its claims are kept and added to."""
    HOP = auto()
    """Another relay of ours, which has done all this already."""


# RFC 9110, section 7.6.1, and older names that have to go as well. `[-_]`: some servers read
# `X_Forwarded_For` as if it were the real one. Expect is answered by each hop of ours (10.1.1).
_HOP_BY_HOP = rb"connection|keep-alive|proxy-connection|te|upgrade"
_OURS = rb"|x[-_]request[-_]id|rouse[-_][^:]*"
_CLAIM_NAMES = rb"x[-_]forwarded[-_](?:for|proto|host|prefix|port|server)|x[-_]real[-_]ip|forwarded"
_EXPECT = rb"expect:[ \t]*100-continue[ \t]*(?=\r|\Z)"


def _cutter(names: bytes, or_else: bytes = rb"(?!)") -> re.Pattern[bytes]:
    return re.compile(rb"\r\n(?i:(?:" + names + rb"):[^\r]*|" + or_else + rb")")


_FROM_CLIENT = _cutter(_HOP_BY_HOP + _OURS + rb"|proxy-authorization|" + _CLAIM_NAMES, _EXPECT)
_FROM_PROXY = _cutter(
    _HOP_BY_HOP + _OURS + rb"|proxy-authorization|x[-_]forwarded[-_](?:for|proto|host)", _EXPECT
)
_FROM_HOP = _cutter(_HOP_BY_HOP + _OURS, _EXPECT)
_FROM_ACTOR = _cutter(_HOP_BY_HOP + _OURS + rb"|proxy-authenticate")
_FROM_DOOR = _cutter(_HOP_BY_HOP + rb"|x[-_]request[-_]id|rouse[-_](?!wake:)[^:]*")
_CHUNKING = _cutter(rb"transfer-encoding|trailer")

_CLAIMS = re.compile(rb"\r\n(?i:(x-forwarded-(?:for|proto|host))):[ \t]*([^\r]*)")
_REQUEST_ID = re.compile(rb"[0-9A-Za-z._:/+=-]{1,128}")


def forwarded_fields(fields: RequestFields, trust: Trust, peer: bytes, scheme: bytes) -> bytes:
    """The block to send on: cut, and with the X-Forwarded fields that this hop owes."""
    if trust is Trust.HOP:
        return _without(_FROM_HOP, fields.block, fields.named)
    if trust is Trust.PROXY:
        return _with_chain(fields, peer, scheme)
    block = _without(_FROM_CLIENT, fields.block, fields.named)
    return b"%b\r\nX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b" % (
        block,
        peer,
        scheme,
        fields.host,
    )


def _with_chain(fields: RequestFields, peer: bytes, scheme: bytes) -> bytes:
    chain: dict[bytes, list[bytes]] = {}
    for name, value in _CLAIMS.findall(fields.block):
        chain.setdefault(name.lower(), []).append(value.strip(b" \t"))
    way = b", ".join([*chain.get(b"x-forwarded-for", []), peer])
    # Of these the last one given counts: it is nearest to the proxy that we trust.
    proto = chain.get(b"x-forwarded-proto", [scheme])[-1]
    host = chain.get(b"x-forwarded-host", [fields.host])[-1]
    block = _without(_FROM_PROXY, fields.block, fields.named)
    return b"%b\r\nX-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b" % (
        block,
        way,
        proto,
        host,
    )


def answered_fields(answer: AnswerHead, *, is_hop: bool, keep_wake: bool) -> bytes:
    """An answer's block as the client gets it; `keep_wake` lets a door's Rouse-Wake through."""
    cutter = _FROM_DOOR if is_hop and keep_wake else _FROM_ACTOR
    return _without(cutter, answer.block, answer.named)


def without_chunking(block: bytes) -> bytes:
    """For an HTTP/1.0 client, which gets the data out of the chunks (RFC 9112, section 6.1)."""
    return _CHUNKING.sub(b"", block)


def sane_request_id(text: bytes) -> bool:
    return _REQUEST_ID.fullmatch(text) is not None


def is_trusted(address: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    if not networks:
        return False
    try:
        ip = ip_address(address)
    except ValueError:
        return False  # a unix socket has no address
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped  # how a listener on [::] sees who comes by IPv4
    return any(ip in network for network in networks)


def _without(cutter: re.Pattern[bytes], block: bytes, named: frozenset[bytes]) -> bytes:
    block = cutter.sub(b"", block)
    if not named:
        return block
    return b"".join(
        b"\r\n" + line
        for line in block.split(b"\r\n")[1:]
        if line.partition(b":")[0].lower() not in named
    )
