"""Edits of a request's head: what never goes on, what policy changes, and the bytes that come out.

Fields are a list in order, names lower-cased; every value that is put in is checked here once more,
so that nothing computed or injected can end its line early.
"""

import re
from collections.abc import Iterable

from gateway.egress.ask import Ask, Fields
from gateway.egress.cel import CelFailed
from gateway.egress.config.model import Computed, Edits
from gateway.egress.config.policies import FRAMING
from gateway.egress.refusals import Refusal, Refused

_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_TARGET = re.compile(r"/[\x21\x22\x24-\x7e]*")

DROPPED = frozenset(
    (
        "connection",
        "host",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
        "te",
        "upgrade",
        "expect",
        "http2-settings",
    )
)
"""Hop by hop (RFC 9110, section 7.6.1), or written anew: Host and Expect."""
_RESERVED = ("rouse-",)
"""Names that only we may send: another actor believes who calls by them."""


def kept(fields: Fields, named: frozenset[bytes]) -> Fields:
    """What of the actor's fields may go on."""
    gone = {name.decode("latin-1") for name in named}
    return [
        field
        for field in fields
        if field[0] not in DROPPED
        and field[0] not in gone
        and not field[0].replace("_", "-").startswith(_RESERVED)
    ]


def check_value(value: str) -> str:
    """Raises ValueError; the value itself is never told."""
    if _VALUE.fullmatch(value) is None:
        raise ValueError("a value has characters that a header can't carry")
    return value


def set_field(fields: Fields, name: str, value: str) -> Fields:
    """One field of that name, whatever was there."""
    return [*without(fields, (name,)), (name, check_value(value))]


def without(fields: Fields, names: Iterable[str]) -> Fields:
    gone = set(names)
    return [field for field in fields if field[0] not in gone]


def edited(fields: Fields, edits: Iterable[Edits]) -> Fields:
    """Add, then set, then remove."""
    for each in edits:
        fields = [*fields, *each.add]
        for name, value in each.set:
            fields = set_field(fields, name, value)
        fields = without(fields, each.remove)
    return fields


def computed(fields: Fields, all_of: Iterable[Computed], ask: Ask) -> Fields:
    """By CEL: add, set, remove. An expression that fails removes its header. Pseudo headers change
    the ask itself."""
    for each in all_of:
        for name, expression in each.add:
            try:
                fields = [*fields, (name, _text(expression.compute(ask)))]
            except (CelFailed, ValueError):
                fields = without(fields, (name,))
        for name, expression in each.set:
            try:
                value = _text(expression.compute(ask))
            except (CelFailed, ValueError):
                if not name.startswith(":"):
                    fields = without(fields, (name,))
                continue
            if name.startswith(":"):
                _set_pseudo(ask, name, value)
            else:
                fields = set_field(fields, name, value)
        fields = without(fields, each.remove)
    return fields


def _text(value: object) -> str:
    if isinstance(value, bool) or value is None or isinstance(value, dict | list):
        raise ValueError("no text")
    if isinstance(value, bytes):
        return check_value(value.decode("latin-1"))
    return check_value(str(value))


def _set_pseudo(ask: Ask, name: str, value: str) -> None:
    if name == ":path":
        ask.target = checked_target(value)
    elif name == ":method":
        if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", value) is None:
            raise Refusal(Refused.FILTERS, "a transformation made no method")
        ask.method = value
    elif name == ":authority":
        from gateway.egress import hosts

        default = 443 if ask.scheme == "https" else 80
        try:
            ask.host, ask.port = hosts.split_port(value, default)
        except hosts.BadHost as error:
            raise Refusal(Refused.FILTERS, "a transformation made no host") from error
    elif value in ("http", "https"):
        ask.scheme = value


def checked_target(target: str) -> str:
    if _TARGET.fullmatch(target) is None:
        raise Refusal(Refused.FILTERS, "a rewrite made no path")
    return target


def to_bytes(method: str, target: str, host: str, fields: Fields, *, upgrade: str = "") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", f"host: {host}"]
    lines += [f"{name}: {value}" for name, value in fields]
    if upgrade:
        lines += ["connection: upgrade", f"upgrade: {upgrade}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer_block(
    block: bytes,
    named: frozenset[bytes],
    edits: tuple[Edits, ...],
    all_of: tuple[Computed, ...],
    ask: Ask,
) -> bytes:
    """An answer's fields as the actor gets them, framing untouched."""
    from gateway.egress.ask import fields_of

    fields = fields_of(block)
    framing = [each for each in fields if each[0] in ("content-length", "transfer-encoding")]
    fields = [
        each
        for each in kept(fields, named)
        if each[0] not in ("content-length", "transfer-encoding", "trailer")
        or each[0] not in FRAMING
    ]
    fields = computed(edited(fields, edits), all_of, ask)
    return "".join(f"\r\n{name}: {value}" for name, value in (*framing, *fields)).encode("latin-1")
