"""Who gets the waiting page, and that it gives way to the actor by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.ingress.codec.request import scan_request
from gateway.ingress.seams import Demand, Reason, Refusal, Ticket
from gateway.ingress.waitingpage import PageUsher, navigates
from placement.model import ActorId
from tests.gateway.ingress.support import (
    HOST,
    SCALE,
    FakeUsher,
    Running,
    actor,
    echo,
    error_of,
    field_of,
    read_answer,
    running,
)

GET = b"GET / HTTP/1.1\r\n" + HOST
FIREFOX = b"Sec-Fetch-Mode: navigate\r\nAccept: text/html,*/*\r\nConnection: close\r\n\r\n"
PROGRAM = b"Accept: application/json\r\nConnection: close\r\n\r\n"


class SleepyUsher(FakeUsher):
    """Keeps deadlines, as ushers do: refuses when the actor does not wake in time."""

    async def admit_waiting(self, demand: Demand) -> Ticket:
        try:
            async with asyncio.timeout_at(demand.deadline):
                return await super().admit_waiting(demand)
        except TimeoutError:
            raise Refusal(Reason.WAKING, "still waking", actor=demand.actor) from None


@asynccontextmanager
async def with_pages(
    usher: SleepyUsher, *, allowed: bool = True
) -> AsyncIterator[tuple[Running, list[ActorId]]]:
    """And whose templates were asked."""
    asked: list[ActorId] = []

    async def ask(actor: ActorId) -> bool:
        asked.append(actor)
        return allowed

    pages = PageUsher(usher, allowed=ask, after_s=0.05)
    async with running(usher, around=pages) as relay:
        yield relay, asked


async def test_a3_a_browser_gets_the_page_first_and_then_the_actor() -> None:
    async with actor(echo) as port:
        inner = SleepyUsher(port=port, asleep=True)
        async with with_pages(inner) as (relay, _):
            answer = await relay.talk(GET + FIREFOX)
            assert answer.startswith(b"HTTP/1.1 503 ") and b"Waking <b>demo/a1</b>" in answer
            assert (field_of(answer, "content-type") or "").startswith("text/html")
            assert field_of(answer, "retry-after") == "1" and field_of(answer, "x-request-id")
            assert b'http-equiv="refresh"' in answer and b"no-store" in answer
            inner.awake.set()
            assert (await relay.talk(GET + FIREFOX)).startswith(b"HTTP/1.1 200 ")


async def test_a3_a_program_never_gets_the_page() -> None:
    async with actor(echo) as port:
        inner = SleepyUsher(port=port, asleep=True)
        async with with_pages(inner) as (relay, _):
            reader, writer = await relay.connect()
            writer.write(GET + PROGRAM)
            await asyncio.wait_for(inner.waiting.wait(), SCALE)
            assert (await relay.talk(GET + FIREFOX)).startswith(b"HTTP/1.1 503 ")
            inner.awake.set()
            assert (await read_answer(reader))[0] == 200
            writer.close()


async def test_a_browser_waits_on_where_the_template_allows_no_page() -> None:
    async with actor(echo) as port:
        inner = SleepyUsher(port=port, asleep=True)
        async with with_pages(inner, allowed=False) as (relay, asked):
            reader, writer = await relay.connect()
            writer.write(GET + FIREFOX)
            async with asyncio.timeout(SCALE):
                while len(inner.demands) < 2:
                    await asyncio.sleep(0)
            inner.awake.set()
            assert (await read_answer(reader))[0] == 200
            assert asked == [ActorId("demo", "a1")]
            writer.close()


async def test_what_is_no_waiting_is_told_to_browsers_too() -> None:
    inner = SleepyUsher(asleep=True, refusal=Refusal(Reason.FAILED_START, "it exits at once"))
    async with with_pages(inner) as (relay, _):
        answer = await relay.talk(GET + FIREFOX)
        assert error_of(answer)["reason"] == "failed-start"


@pytest.mark.parametrize(
    ("method", "fields", "expected"),
    [
        (b"GET", b"Sec-Fetch-Mode: navigate\r\n", True),
        (b"POST", b"Sec-Fetch-Mode: navigate\r\n", False),
        (b"GET", b"sec-fetch-mode: cors\r\nAccept: text/html\r\n", False),
        (b"GET", b"Accept: text/html,*/*\r\nUpgrade-Insecure-Requests: 1\r\n", True),
        (b"GET", b"Accept: text/html\r\n", False),
        (b"GET", b"Accept: */*\r\n", False),
    ],
)
def test_only_a_browser_that_shows_what_comes_navigates(
    method: bytes, fields: bytes, expected: bool
) -> None:
    head = scan_request(method + b" / HTTP/1.1\r\n" + HOST + fields + b"\r\n")
    assert head is not None and navigates(head) is expected
