"""Strict reading: foreign data into our records; what we do not know is refused by its path.

msgspec checks; this adds to its refusal what a person needs: the nearest name that is known.
"""

import difflib
import re
import types
import typing
from pathlib import Path
from typing import TypeVar

import msgspec

from lifecycle import quantities

T = TypeVar("T")

_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*?)`(?: - at `\$(?P<path>.*)`)?")
_MISSING = re.compile(r"Object missing required field `(?P<field>.*?)`(?: - at `\$(?P<path>.*)`)?")
_PLACED = re.compile(r"(?P<what>.*) - at `\$(?P<path>.*)`", re.DOTALL)
_SEGMENT = re.compile(r"\.([^.\[\]]+)|\[([^\]]*)\]")
_QUOTE_IT = re.compile(r"Expected `str`, got `(?:int|float|bool)`")


class NotUnderstood(ValueError):
    """Foreign data that is not of the wanted shape. `path` is dotted, empty for the whole."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}: {what}" if path else what)
        self.path = path
        self.what = what


def convert(given: object, wanted: type[T], *, from_text: bool = False) -> T:
    """`given` (builtins only) as a `wanted`. Raises NotUnderstood.

    `from_text` also takes numbers and booleans written as text: variables and query parameters.
    """
    try:
        return msgspec.convert(given, wanted, strict=not from_text, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise _explain(str(error), wanted) from error


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """A clause for an error message: the nearest known name, or all of them."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"known: {', '.join(names)}" if names else "nothing is known here"


def _decode(wanted: type, given: object) -> object:
    if wanted is Path:
        if isinstance(given, str | Path) and str(given) and "\0" not in str(given):
            return Path(given)
        raise ValueError(f"{str(given)[:80]!r} is no path")
    return quantities.decode(wanted, given)


def _explain(message: str, wanted: type) -> NotUnderstood:
    if match := _UNKNOWN.fullmatch(message):
        parent = (match["path"] or "").lstrip(".")
        known = _known_at(wanted, match["path"] or "")
        path = f"{parent}.{match['field']}" if parent else match["field"]
        return NotUnderstood(path, f"unknown field; {nearest(match['field'], known)}")
    if match := _MISSING.fullmatch(message):
        parent = (match["path"] or "").lstrip(".")
        path = f"{parent}.{match['field']}" if parent else match["field"]
        return NotUnderstood(path, "is missing")
    match = _PLACED.fullmatch(message)
    what, path = (match["what"], match["path"].lstrip(".")) if match else (message, "")
    what = what[:1].lower() + what[1:]
    if _QUOTE_IT.match(message):
        what += "; put it in quotes"
    return NotUnderstood(path, what)


def _known_at(wanted: object, path: str) -> set[str]:
    """The field names that the struct at `path` (as msgspec writes paths) has."""
    here = {wanted}
    for field, _index in _SEGMENT.findall(path):
        deeper: set[object] = set()
        for kind in alternatives(here):
            if field and _is_struct(kind):
                deeper |= {
                    known.type
                    for known in msgspec.structs.fields(kind)
                    if known.encode_name == field
                }
            elif not field:  # an index or a key: the last argument is what it holds
                deeper |= {arg for arg in typing.get_args(kind)[-2:] if arg is not ...}
        here = deeper
    return {
        known.encode_name
        for kind in alternatives(here)
        if _is_struct(kind)
        for known in msgspec.structs.fields(kind)
    }


def alternatives(kinds: set[object]) -> list[typing.Any]:  # types as values have no better type
    flat: list[typing.Any] = []
    for kind in kinds:
        origin = typing.get_origin(kind)
        if origin in (typing.Union, types.UnionType):
            flat += alternatives(set(typing.get_args(kind)))
        elif origin is typing.Annotated:
            flat += alternatives({typing.get_args(kind)[0]})
        else:
            flat.append(kind)
    return flat


def _is_struct(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
