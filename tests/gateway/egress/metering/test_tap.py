"""Taps: every coding, every cut, and nothing that a server can do to them."""

import gzip
import os
import zlib

import brotli
import msgspec
import pytest
import zstandard

from gateway.egress.metering import tap
from gateway.egress.metering.tap import Tap

BODY = msgspec.json.encode(
    {"model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 4}, "pad": "x" * 500}
)
STREAM = (
    b'data: {"model":"m","choices":[{"delta":{"content":"a"}}]}\n\n' * 5
    + b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
    + b"data: [DONE]\n\n"
)
CODINGS = {
    "": lambda data: data,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("step", [1, 7, 10_000])
@pytest.mark.parametrize(
    ("kind", "data"), [("application/json", BODY), ("text/event-stream", STREAM)]
)
def test_usage_is_found_at_every_cut(coding: str, step: int, kind: str, data: bytes) -> None:
    made, packed = Tap(kind, coding), CODINGS[coding](data)
    for at in range(0, len(packed), step):
        made.feed(packed[at : at + step])
    usage = made.end()
    assert (usage.model, usage.input, usage.output, usage.is_estimated) == ("m", 3, 4, False)


def test_a_stream_without_usage_is_estimated() -> None:
    made = Tap("text/event-stream", "", request_bytes=400)
    made.feed(STREAM.replace(b'"usage"', b'"nope"'))
    usage = made.end()
    assert usage.is_estimated and (usage.input, usage.output) == (100, 5)


def test_a_client_that_leaves_is_charged_what_was_seen() -> None:
    made = Tap("text/event-stream", "", request_bytes=40)
    made.feed(STREAM[:200])
    assert made.end().output >= 1


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_bomb_is_given_up(coding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap, "_LARGEST_STEP", 64 * 1024)
    made = Tap("application/json", coding)
    made.feed(CODINGS[coding](b"\0" * 10_000_000))
    assert made.end().total == 0


def test_noise_counts_nothing() -> None:
    for coding in (*CODINGS, "unknown"):
        made = Tap("application/json", coding)
        made.feed(os.urandom(2000))
        assert made.end().total == 0


def test_a_body_too_large_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap, "LARGEST_BODY", 1000)
    made = Tap("application/json", "")
    for _ in range(10):
        made.feed(b"x" * 500)
    assert made.end().total == 0
