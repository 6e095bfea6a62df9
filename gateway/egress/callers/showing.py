"""Where a request shows a caller's credential: found there, and taken out. No I/O."""

from urllib.parse import unquote_plus

from gateway.egress import heads
from gateway.egress.ask import Ask, Fields
from gateway.egress.cel import CelFailed
from gateway.egress.config.gate_model import Shown
from gateway.egress.config.values import Location, Place


def find(shown: Shown, ask: Ask) -> str | None:
    """None where nothing is shown."""
    if shown.expression is not None:
        try:
            value = shown.expression.compute(ask)
        except CelFailed:
            return None
        return value if isinstance(value, str) and value else None
    location = shown.location
    if location.place is Place.HEADER:
        return _in_header(ask.fields, location)
    if location.place is Place.QUERY:
        query = ask.target.partition("?")[2]
        return next((unquote_plus(v) for k, v in _pairs(query, "&") if k == location.name), None)
    return next((v for k, v in _crumbs(ask.fields) if k == location.name), None)


def _in_header(fields: Fields, location: Location) -> str | None:
    values = [value for name, value in fields if name == location.name]
    if len(values) != 1:
        return None  # two of them: who is meant?
    prefix, value = location.prefix, values[0]
    # A scheme's name has no case (RFC 9110, section 11.1).
    if value[: len(prefix)].lower() != prefix.lower():
        return None
    return value[len(prefix) :].strip() or None


def take_out(shown: Shown, ask: Ask, fields: Fields) -> Fields:
    """`fields`, and the ask itself, without it: it was for us, and goes no further."""
    if shown.expression is not None:
        return fields
    location = shown.location
    if location.place is Place.QUERY:
        path, _mark, query = ask.target.partition("?")
        rest = "&".join(
            part
            for part in query.split("&")
            if unquote_plus(part.partition("=")[0]) != location.name
        )
        ask.target = f"{path}?{rest}" if rest else path
        return fields
    ask.replace_fields(_without(ask.fields, location))
    return _without(fields, location)


def _without(fields: Fields, location: Location) -> Fields:
    if location.place is Place.HEADER:
        return heads.without(fields, (location.name,))
    rest = "; ".join(f"{k}={v}" for k, v in _crumbs(fields) if k != location.name)
    fields = heads.without(fields, ("cookie",))
    return [*fields, ("cookie", rest)] if rest else fields


def _crumbs(fields: Fields) -> list[tuple[str, str]]:
    return [
        pair
        for name, value in fields
        if name == "cookie"
        for pair in _pairs(value.replace("; ", ";"), ";")
    ]


def _pairs(text: str, mark: str) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, _equals, value in (part.strip().partition("=") for part in text.split(mark))
        if name
    ]
