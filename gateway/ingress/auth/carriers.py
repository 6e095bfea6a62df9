"""Carriers: where in a head a credential may stand, and the head without it.

Header, cookie and query parameter, by names from the settings. Only bytes of the credential go;
the rest of the head stays as the client wrote it.
"""

import re
from dataclasses import dataclass
from itertools import islice
from urllib.parse import unquote_to_bytes

from gateway.ingress.seams import Reason, Refusal

_BEARER = re.compile(rb"(?i:bearer)[ \t]+([^ \t]+)")
_COOKIE = re.compile(rb"(\r\n(?i:cookie):[ \t]*)([^\r]*)")
_MOST_COOKIES = 4
_REFERER = re.compile(rb"(\r\n(?i:referer):[ \t]*)([^\r]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class CarrierNames:
    """An empty name switches that carrier off."""

    header: str = "Authorization"
    """`Authorization` wants the Bearer scheme; any other field may hold the bare credential."""
    cookie: str = "rouse-token"
    query: str = "rouse_token"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Credentials as they stand in one head; empty where there is none."""

    header: bytes = b""
    cookies: tuple[bytes, ...] = ()
    """Several where they were set for several domains or paths. A neighbour's page can set one
    too, which must not lock its owner out, so all of the first few count."""
    query: bytes = b""


class Carriers:
    def __init__(self, names: CarrierNames) -> None:
        field = re.escape(names.header.encode("ascii"))
        self._field = re.compile(rb"\r\n(?i:" + field + rb"):[ \t]*([^\r]*)")
        self._has_field = bool(names.header)
        self._is_scheme_wanted = names.header.lower() == "authorization"
        self._cookie = names.cookie.encode("ascii")
        self._query = names.query.encode("ascii")

    def is_in_target(self, target: bytes) -> bool:
        """Perhaps; a quick look that spares most requests the exact one."""
        return bool(self._query) and self._query in target

    def find(self, block: bytes, target: bytes) -> Found:
        return Found(
            header=self._in_field(block),
            cookies=self._in_cookies(block),
            query=self._in_query(target),
        )

    def _in_field(self, block: bytes) -> bytes:
        values = self._field.findall(block) if self._has_field else []
        if len(values) > 1:
            # Whichever we took, the actor or somebody between might take the other one.
            raise Refusal(Reason.BAD_REQUEST, "a field with credentials is there twice")
        value: bytes = values[0].strip(b" \t") if values else b""
        bearer = _BEARER.fullmatch(value)
        if bearer is not None:
            return bytes(bearer[1])
        return b"" if self._is_scheme_wanted else value

    def _in_cookies(self, block: bytes) -> tuple[bytes, ...]:
        if not self._cookie or self._cookie not in block:
            return ()
        pairs = (p for _start, line in _COOKIE.findall(block) for p in line.split(b";"))
        split = (pair.partition(b"=") for pair in pairs)
        ours = (v.strip(b' \t"') for name, _, v in split if name.strip(b" \t") == self._cookie)
        return tuple(islice((value for value in ours if value), _MOST_COOKIES))

    def _in_query(self, target: bytes) -> bytes:
        if not self.is_in_target(target):
            return b""
        given = [p for p in _pairs(target) if self._is_ours(p)]
        if len(given) > 1:
            raise Refusal(Reason.BAD_REQUEST, "a parameter with credentials is there twice")
        return unquote_to_bytes(given[0].partition(b"=")[2]) if given else b""

    def cut_block(self, block: bytes, *, with_field: bool) -> bytes:
        """Without our cookie, and without the field where that held a credential of ours."""
        if with_field:
            block = self._field.sub(b"", block)
        if self._cookie and self._cookie in block:
            block = _COOKIE.sub(self._cut_cookies, block)
        if self._query and self._query in block:
            # A browser repeats the page's URL, query included, with all that the page loads.
            block = _REFERER.sub(lambda line: line[1] + self.cut_target(line[2]), block)
        return block

    def _cut_cookies(self, line: re.Match[bytes]) -> bytes:
        pairs = line[2].split(b";")
        kept = [p for p in pairs if p.partition(b"=")[0].strip(b" \t") != self._cookie]
        if len(kept) == len(pairs):
            return line[0]
        rest = b";".join(kept).lstrip(b" \t")
        return bytes(line[1] + rest) if rest else b""

    def cut_target(self, target: bytes) -> bytes:
        if not self.is_in_target(target):
            return target
        pairs = _pairs(target)
        kept = [p for p in pairs if not self._is_ours(p)]
        if len(kept) == len(pairs):
            return target
        path = target.partition(b"?")[0]
        return path + b"?" + b"&".join(kept) if kept else path

    def _is_ours(self, pair: bytes) -> bool:
        return pair.partition(b"=")[0] == self._query


def _pairs(target: bytes) -> list[bytes]:
    _path, mark, query = target.partition(b"?")
    return query.split(b"&") if mark else []
