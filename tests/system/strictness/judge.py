"""What became of each case behind each proxy, and whether both sides read the same in it."""

import asyncio
import re
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path

import h11

from tests.gateway.ingress.corpus import HOST, Case
from tests.system.strictness.backend import MARK, Backend, backend
from tests.system.strictness.fronts import FRONTS, Connect

LANES = 16
_TAKES_S = 10.0
_MARKED = re.compile(rb"\r\n(?i:" + MARK + rb"):[ ]*([^\r]*)")
_numbers = count()


class Fate(StrEnum):
    FORWARDED = "forwarded"
    REFUSED = "refused"
    DIFFERED = "differed"
    """Behind the proxy something else was read than it meant, or its client was told so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    case: Case
    fate: Fate
    passed: int
    """Requests that reached the server whole; of an answer 1 when it reached the client whole."""
    status: int
    """Of the first answer that the client got; 0: none."""
    why: str = ""


async def judge(proxy: str, cases: Sequence[Case], directory: Path) -> list[Verdict]:
    """Every case through `proxy`, several at once, each beside a backend of its own."""
    waiting = list(reversed(cases))
    verdicts: list[Verdict] = []

    async def lane(connect: Connect, behind: Backend) -> None:
        while waiting:
            case = waiting.pop()
            behind.clear()
            judged = _answer if case.family.startswith("answer") else _request
            verdicts.append(await judged(case, connect, behind))

    async with AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(backend()) for _ in range(LANES)]
        connects = await stack.enter_async_context(FRONTS[proxy](backends, directory))
        async with asyncio.TaskGroup() as lanes:
            for connect, behind in zip(connects, backends, strict=True):
                lanes.create_task(lane(connect, behind))
    return verdicts


async def _request(case: Case, connect: Connect, behind: Backend) -> Verdict:
    got = await _talk(connect, case.data)
    answered = len(_MARKED.findall(got))
    seen = behind.seen
    why = await _next_one(connect)
    whole = [target for target in seen.whole if not target.startswith(b"/next")]
    if seen.nonsense:
        why = f"the server read nonsense: {seen.nonsense[0]}"
    elif len(whole) != answered:
        why = f"the server read {len(whole)} requests, the client got {answered} answers"
    if why:
        fate = Fate.DIFFERED
    else:
        fate = Fate.FORWARDED if whole else Fate.REFUSED
    return Verdict(case=case, fate=fate, passed=len(whole), status=_status(got), why=why)


async def _answer(case: Case, connect: Connect, behind: Backend) -> Verdict:
    behind.odd = case.data
    behind.keeps_open = case.family == "answer open"
    line = case.method + b" /odd HTTP/1.1\r\n"
    got = await _talk(connect, line + HOST + b"\r\n")
    why = await _next_one(connect)
    status, body, rest = _read(case.method, got)
    meant_status, meant, _ = _read(case.method, case.data)
    if body is None or (status >= 500 and status != meant_status):
        fate, passed = Fate.REFUSED, 0
    else:
        fate, passed = Fate.FORWARDED, 1
        if (status, body) != (meant_status, meant):
            why = f"the client read {status} {body!r:.40}, not {meant_status} {meant!r:.40}"
    if rest:
        why = f"bytes after the answer: {rest[:40]!r}"
    if why:
        fate = Fate.DIFFERED
    return Verdict(case=case, fate=fate, passed=passed, status=status, why=why)


def _read(method: bytes, data: bytes) -> tuple[int, bytes | None, bytes]:
    """Status, body (None: not whole) and what follows, as a strict client reads it to its end."""
    side = h11.Connection(h11.CLIENT, max_incomplete_event_size=2**20)
    side.send(h11.Request(method=method, target="/odd", headers=[("host", "a")]))
    side.send(h11.EndOfMessage())
    side.receive_data(data)
    side.receive_data(b"")
    status, body = 0, b""
    try:
        while True:
            event = side.next_event()
            if isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return status, body, side.trailing_data[0]
            elif isinstance(event, h11.InformationalResponse):
                continue
            else:
                return status, None, b""
    except h11.RemoteProtocolError:
        return status, None, b""


async def _next_one(connect: Connect) -> str:
    """Why the next request, somebody else's, was not answered with its own answer."""
    target = b"/next-%d" % next(_numbers)
    got = await _talk(
        connect, b"GET " + target + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    )
    marks = _MARKED.findall(got)
    return "" if marks == [target] else f"the next request got {got[:60]!r}"


async def _talk(connect: Connect, data: bytes) -> bytes:
    """What comes until the proxy closes."""
    got = b""
    reader, writer = await connect()
    try:
        async with asyncio.timeout(_TAKES_S):
            with suppress(ConnectionError):
                writer.write(data)
                await writer.drain()
            with suppress(ConnectionError):
                while piece := await reader.read(65_536):
                    got += piece
    finally:
        writer.close()
    return got


def _status(got: bytes) -> int:
    match = re.match(rb"HTTP/1\.[01] ([0-9]{3})", got)
    return int(match[1]) if match else 0


def table(verdicts: dict[str, Sequence[Verdict]]) -> str:
    """Family by proxy: how many of its cases were forwarded, refused, differed."""
    families = list(dict.fromkeys(v.case.family for v in next(iter(verdicts.values()))))
    lines = [
        "| family | cases | " + " | ".join(verdicts) + " |",
        "|---" * (len(verdicts) + 2) + "|",
    ]
    for family in [*families, "all"]:
        cells = []
        size = 0
        for each in verdicts.values():
            fates = Counter(v.fate for v in each if family in ("all", v.case.family))
            size = fates.total()
            cells.append(" / ".join(str(fates[fate]) for fate in Fate))
        lines.append(f"| {family} | {size} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
