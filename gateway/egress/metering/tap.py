"""A tap: looks on while an answer's body passes, decodes it on the side, and finds the usage.

It never changes a byte and never breaks a call: what it cannot read, it does not count. What it
holds is bounded, whatever a server sends.
"""

import re
import zlib
from dataclasses import replace
from typing import Protocol

import brotli
import msgspec
import zstandard

from gateway.egress.metering.usage import Usage, added

LARGEST_BODY = 8 * 2**20
"""Decoded, of an answer that is no stream; its usage stands in it somewhere."""
_LARGEST_EVENT = 1 * 2**20
_LARGEST_STEP = 4 * 2**20
"""Decoded at once: a kilobyte may hold a gigabyte."""
_MENTIONS = re.compile(rb'"(?:usage|usageMetadata)"')
_BYTES_PER_TOKEN = 4


class _Decoder(Protocol):
    def decode(self, data: bytes) -> bytes: ...


class _Plain:
    def decode(self, data: bytes) -> bytes:
        return data


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._inner = zlib.decompressobj(wbits)

    def decode(self, data: bytes) -> bytes:
        made = self._inner.decompress(data, _LARGEST_STEP)
        if self._inner.unconsumed_tail:
            raise ValueError("too much at once")
        return made


class _Brotli:
    def __init__(self) -> None:
        self._inner = brotli.Decompressor()

    def decode(self, data: bytes) -> bytes:
        made: bytes = self._inner.process(data, output_buffer_limit=_LARGEST_STEP)
        if not self._inner.can_accept_more_data():
            raise ValueError("too much at once")
        return made


class _Zstd:
    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=8 * 2**20).decompressobj()
        self._made = 0

    def decode(self, data: bytes) -> bytes:
        pieces, size = [], 0
        # In small steps, so that what one of them makes is bounded before it is looked at.
        for at in range(0, len(data), 1024):
            piece = self._inner.decompress(data[at : at + 1024])
            size += len(piece)
            if size > _LARGEST_STEP:
                raise ValueError("too much at once")
            pieces.append(piece)
        return b"".join(pieces)


def _decoder(encoding: str) -> _Decoder | None:
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Zlib(31)
        case "deflate":
            return _Zlib(15)
        case "br":
            return _Brotli()
        case "zstd":
            return _Zstd()
        case _:
            return None


class Tap:
    def __init__(self, content_type: str, encoding: str, *, request_bytes: int = 0) -> None:
        self._decoder = _decoder(encoding)
        self._is_stream = content_type.strip().lower().startswith("text/event-stream")
        self._held = b""
        self._request_bytes = request_bytes
        self._events = 0
        self.usage = Usage()

    def __repr__(self) -> str:
        return f"<Tap {self._events} events, {self.usage}>"

    def feed(self, data: bytes) -> None:
        if self._decoder is None or not data:
            return
        try:
            text = self._decoder.decode(data)
        except (ValueError, zlib.error, brotli.error, zstandard.ZstdError):
            self._decoder, self._held = None, b""
            return
        if self._is_stream:
            self._feed_stream(text)
        elif len(self._held) + len(text) <= LARGEST_BODY:
            self._held += text
        else:
            self._decoder, self._held = None, b""

    def _feed_stream(self, text: bytes) -> None:
        """Lines of `data:`; a JSON event is one line with all that we know of."""
        lines = (self._held + text).split(b"\n")
        self._held = lines.pop()
        if len(self._held) > _LARGEST_EVENT:
            self._held = b""
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            self._events += 1
            # Most events are a word of the answer: only those that say something are parsed.
            if not self.usage.model or _MENTIONS.search(line):
                self.usage = added(self.usage, _json(line[5:].strip()))

    def end(self) -> Usage:
        """What is known now: at the end, or where the client left."""
        if not self._is_stream:
            self.usage = added(self.usage, _json(self._held))
        self._held = b""
        if not self.usage.is_known and self._events:
            self.usage = replace(
                self.usage,
                input=self._request_bytes // _BYTES_PER_TOKEN,
                output=max(1, self._events - 2),
                is_estimated=True,
            )
        return self.usage


def _json(text: bytes) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
