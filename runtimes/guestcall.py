"""Call the first process of a guest: one JSON line each way, over the guest's own cable."""

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable
from typing import Any

from runtimes import netns, tap
from runtimes.base import RuntimeFailure

PORT = 1
CALL_S = 20.0
ENTROPY_BYTES = 64
_MOST_ANSWER_BYTES = 1 << 16
_RETRY_S = 0.01


async def call(where: tap.Tap, do: str, **words: Any) -> None:
    """Raises RuntimeFailure, with the guest's own words where it has some. With the caller's
    deadline if that is sooner than CALL_S."""
    try:
        async with asyncio.timeout(CALL_S):
            told = await _ask(where, {"do": do, **words})
    except TimeoutError as error:
        raise RuntimeFailure("the guest does not answer", retryable=True) from error
    except OSError as error:
        raise RuntimeFailure(f"the guest cannot be reached: {error}", retryable=True) from error
    except ValueError as error:
        raise RuntimeFailure(f"the guest answers nonsense to {do}") from error
    if told.get("error"):
        raise RuntimeFailure(f"{str(told['error'])[:500]}")


async def listens(where: tap.Tap, lives: Callable[[], bool]) -> None:
    """Return as soon as it does; the caller has the deadline. Raises RuntimeFailure when what it
    runs in lives no more."""
    while True:
        if not lives():
            raise RuntimeFailure("the machine ended as it began")
        try:
            # Short: while a guest boots nobody says no, and a lost first packet costs a second.
            async with asyncio.timeout(0.5):
                await _ask(where, {"do": "hello"})
                return
        except (OSError, TimeoutError, ValueError):
            await asyncio.sleep(_RETRY_S)


def afresh() -> dict[str, Any]:
    """What a guest that stood still, or was copied, has to be told: the time, and numbers that no
    other copy has."""
    return {"time": time.time_ns(), "entropy": base64.b64encode(os.urandom(ENTROPY_BYTES)).decode()}


async def _ask(where: tap.Tap, words: dict[str, Any]) -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    with netns.socket_at(str(where.path)) as peer:
        await loop.sock_connect(peer, (tap.GUEST, PORT))
        await loop.sock_sendall(peer, json.dumps(words).encode() + b"\n")
        answer = b""
        while not answer.endswith(b"\n"):
            chunk = await loop.sock_recv(peer, 65_536)
            answer += chunk
            if not chunk or len(answer) > _MOST_ANSWER_BYTES:
                raise ConnectionResetError("no whole answer")
    told = json.loads(answer)
    if not isinstance(told, dict):
        raise ValueError("an answer is an object")
    return told
