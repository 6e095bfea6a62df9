"""Repeats and endings of one exchange: what is sent again, what is not, who sees a break. Waiting
and connecting are test_finding's.

`running` asserts at its end that every ticket was closed once and no counter is left standing.
"""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine

import pytest
import uvloop

from gateway.ingress.settings import RelaySettings
from tests.gateway.ingress.support import (
    GET,
    HOP,
    HOST,
    LAST,
    OK,
    POST,
    SCALE,
    STALE,
    FakeUsher,
    actor,
    answering,
    echo,
    error_of,
    field_of,
    read_answer,
    read_head,
    recording,
    running,
)


async def test_a77_a_stale_route_is_repeated_with_its_body_for_any_method() -> None:
    stale: list[bytes] = []
    good: list[bytes] = []
    async with (
        actor(recording(STALE, stale, size=2)) as old,
        actor(recording(OK, good, size=2)) as new,
    ):
        usher = FakeUsher(port=old, later_ports=[new], hop_fields=HOP)
        async with running(usher) as relay:
            assert (await relay.talk(POST)).endswith(b"ok")
        assert stale[0].endswith(b"hi") and good[0].endswith(b"hi")
        assert b"Rouse-Actor: demo/a1\r\n" in good[0]


async def test_a77_a_large_body_waits_for_the_doors_word_and_so_survives_a_stale_route() -> None:
    async def door(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert field_of(head, "expect") == "100-continue"
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await reader.readexactly(1_000_000)
        text = b"%d" % len(body.strip(b"x"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
        await writer.drain()

    stale: list[bytes] = []
    async with actor(recording(STALE, stale)) as old, actor(door) as new:
        usher = FakeUsher(port=old, later_ports=[new], hop_fields=HOP)
        async with running(usher) as relay:
            reader, writer = await relay.connect()
            writer.write(b"POST / HTTP/1.1\r\n%bContent-Length: 1000000\r\n\r\n" % HOST)
            writer.write(b"x" * 1_000_000)
            assert (await read_answer(reader))[2] == b"0"
            writer.close()
        assert len(stale) == 1 and relay.relay.meters.repeats["stale-route"] == 1


async def test_an_actor_that_says_stale_is_not_believed() -> None:
    seen: list[bytes] = []
    async with actor(recording(STALE, seen)) as port, running(FakeUsher(port=port)) as relay:
        answer = await relay.talk(LAST)
        assert answer.startswith(b"HTTP/1.1 421 ") and b"ouse-" not in answer.lower()
        assert relay.usher.forgotten == [] and len(seen) == 1


async def test_a77_an_idempotent_request_survives_a_kept_connection_that_was_closed() -> None:
    closed = asyncio.Event()
    heads: list[bytes] = []

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        if len(heads) == 1:
            # The second request on this connection is read and dies with it, unanswered.
            await reader.readuntil(b"\r\n\r\n")
            closed.set()

    async with actor(once) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        for _ in range(2):
            writer.write(GET)
            assert (await read_answer(reader))[2] == b"ok"
        writer.close()
        assert closed.is_set() and relay.relay.meters.repeats["reused"] == 1


async def test_a77_a_post_is_not_sent_twice_when_its_connection_dies() -> None:
    seen: list[bytes] = []
    async with (
        actor(recording(b"", seen, size=2)) as port,
        running(FakeUsher(port=port)) as relay,
    ):
        answer = await relay.talk(POST)
        assert answer.startswith(b"HTTP/1.1 502 ") and error_of(answer)["reason"] == "broken"
        assert len(seen) == 1 and sum(relay.relay.meters.repeats.values()) == 0


@pytest.mark.parametrize(
    "nonsense",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
async def test_a75_nonsense_before_a_complete_head_is_502(nonsense: bytes) -> None:
    async with actor(answering(nonsense)) as port, running(FakeUsher(port=port)) as relay:
        answer = await relay.talk(LAST)
        assert answer.startswith(b"HTTP/1.1 502 ") and error_of(answer)["actor"] == "demo/a1"


@pytest.mark.parametrize(
    "half",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nbad\r\n",
    ],
)
async def test_a79_an_answer_that_breaks_is_seen_to_be_broken(half: bytes) -> None:
    async with actor(answering(half)) as port, running(FakeUsher(port=port)) as relay:
        answer = await relay.talk(GET)
        assert answer.startswith(b"HTTP/1.1 200 ") or answer.startswith(b"HTTP/1.1 502 ")
        assert b"half" in answer or answer.startswith(b"HTTP/1.1 502 ")
        assert not answer.endswith(b"0\r\n\r\n")


async def test_a79_an_http_1_0_client_of_a_broken_answer_is_reset() -> None:
    go = asyncio.Event()

    async def chunk_and_die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n")
        await go.wait()

    async with actor(chunk_and_die) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(b"GET / HTTP/1.0\r\n%b\r\n" % HOST)
        await read_head(reader)
        assert await reader.readexactly(4) == b"half"
        go.set()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(), SCALE)
        writer.close()


async def test_a51_requests_above_an_actors_limit_are_429_and_another_actors_are_not() -> None:
    usher = FakeUsher(asleep=True)
    settings = RelaySettings(requests_per_actor=2)
    async with actor(echo) as port, running(usher, settings=settings) as relay:
        usher.port = port
        waiting = [await relay.connect() for _ in range(2)]
        for _, writer in waiting:
            writer.write(GET)
        while relay.relay.parking.count < 2:
            await asyncio.sleep(0)
        answer = await relay.talk(GET[:-2] + b"Connection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 429 ") and error_of(answer)["reason"] == "queue-full"
        assert field_of(answer, "retry-after") == "1"
        usher.awake.set()
        other = GET[:-2].replace(b"a1.", b"a2.") + b"Connection: close\r\n\r\n"
        assert (await relay.talk(other)).startswith(b"HTTP/1.1 200 ")
        for reader, writer in waiting:
            assert (await read_answer(reader))[0] == 200
            writer.write(GET)  # its place is free again
            assert (await read_answer(reader))[0] == 200
            writer.close()


async def test_a6_a37_a_request_budget_ends_in_504_or_a_break_and_is_off_by_default() -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"GET /half " in head:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        await reader.read()

    assert RelaySettings().request_s == 0.0
    settings = RelaySettings(request_s=0.3)
    async with actor(half) as port, running(FakeUsher(port=port), settings=settings) as relay:
        answer = await relay.talk(GET[:-2] + b"Connection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 504 ") and error_of(answer)["reason"] == "no-answer"
        answer = await relay.talk(GET.replace(b"GET / ", b"GET /half "))
        assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(b"\r\n\r\nhalf")


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells of an end behind unread bytes"
)
async def test_a22_a_client_that_leaves_with_most_of_its_body_unread_frees_its_place() -> None:
    usher = FakeUsher(asleep=True)
    async with running(usher) as relay:
        _, writer = await relay.connect()
        writer.write(b"PUT / HTTP/1.1\r\n%bContent-Length: 50000000\r\n\r\n" % HOST)
        writer.write(b"x" * 400_000)  # more than we read ahead, less than the kernel takes
        await asyncio.wait_for(usher.waiting.wait(), SCALE)
        while writer.transport.get_write_buffer_size():
            await asyncio.sleep(0)
        writer.close()
        await asyncio.wait_for(usher.gave_up.wait(), SCALE)
        while relay.relay.parking.count:
            await asyncio.sleep(0)
        assert relay.relay.parking.held_bytes == 0


async def test_a_drain_survives_clients_that_were_reset_under_it() -> None:
    usher = FakeUsher(asleep=True)
    async with running(usher) as relay:
        _, writer = await relay.connect()
        writer.write(b"PUT / HTTP/1.1\r\n%bContent-Length: 50000000\r\n\r\n" % HOST)
        writer.write(b"x" * 10_000_000)
        await asyncio.wait_for(usher.waiting.wait(), SCALE)
        writer.transport.abort()  # our answer then meets a closed socket, and is met by a reset
        await asyncio.sleep(0)
        assert not await relay.relay.drain(0.0)


POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


async def test_r27_a37_a_connection_with_bytes_too_many_is_not_used_again() -> None:
    connections = 0

    async def too_much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n" + POISON)

    async with actor(too_much) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        for _ in range(3):
            writer.write(GET)
            assert (await read_answer(reader))[0] == 204
        writer.close()
        assert connections == 3


async def test_a79_an_answer_longer_than_it_said_is_not_taken_for_whole() -> None:
    """Ours instead while nothing is out, a missing end after that."""

    async def too_much(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + POISON)

    async def too_much_later(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nfirst")
        await reader.readuntil(b"more")  # once the client has seen the first part
        writer.write(b"!" + POISON)

    post = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\n\r\n"
    async with actor(too_much) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(GET)
        status, _, body = await read_answer(reader)
        assert status == 502 and b"goes on after its end" in body
        writer.close()
    async with actor(too_much_later) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(post)
        await read_head(reader)
        async with asyncio.timeout(SCALE):
            assert await reader.readexactly(5) == b"first"
            writer.write(b"more")
            assert await reader.read() == b""
        writer.close()
        assert relay.relay.meters.broken_off == 1


async def test_a13_a_client_that_leaves_ends_the_exchange_at_the_actor_at_once() -> None:
    began, left = asyncio.Event(), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        began.set()
        try:
            await reader.read()
        finally:
            left.set()

    async with actor(slow) as port, running(FakeUsher(port=port)) as relay:
        _, writer = await relay.connect()
        writer.write(GET)
        await asyncio.wait_for(began.wait(), SCALE)
        assert relay.relay.meters.inflight == 1
        writer.close()
        await asyncio.wait_for(left.wait(), SCALE)
        assert relay.usher.all_closed_once() and relay.relay.meters.inflight == 0
    entry = json.loads(relay.log[-1])
    assert (entry["status"], entry["reason"]) == (499, "client-left")


@pytest.mark.parametrize(("request_text", "status"), [(LAST, b"503"), (POST, b"502")])
async def test_p1_an_answer_of_a_copy_that_lost_its_lease_is_dropped(
    request_text: bytes, status: bytes
) -> None:
    async with actor(answering(OK)) as port:
        usher = FakeUsher(port=port, valid=[True, False])
        async with running(usher) as relay:
            answer = await relay.talk(request_text)
            assert answer[9:12] == status and not answer.endswith(b"ok")


async def test_a_cut_ticket_ends_its_exchange() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await reader.read()

    async with actor(hang) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(GET)
        await read_head(reader)
        relay.usher.tickets[0].cut()
        assert await asyncio.wait_for(reader.read(), SCALE) == b"half"
        writer.close()


async def test_a_body_that_turns_out_malformed_is_400_and_reaches_nobody_whole() -> None:
    bodies: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        bodies.append(await reader.read())

    async with actor(note) as port, running(FakeUsher(port=port)) as relay:
        head = b"POST / HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % HOST
        answer = await relay.talk(head + b"2\r\nhi\r\nzz\r\n0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert not any(body.endswith(b"0\r\n\r\n") for body in bodies)


async def test_a_door_that_refuses_a_large_body_is_not_sent_it() -> None:
    refusal = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"
    seen: list[bytes] = []
    settings = RelaySettings(linger_s=0.05)
    async with actor(recording(refusal, seen)) as port:
        usher = FakeUsher(port=port, hop_fields=HOP)
        async with running(usher, settings=settings) as relay:
            reader, writer = await relay.connect()
            writer.write(b"POST / HTTP/1.1\r\n%bContent-Length: 1000000\r\n\r\n" % HOST)
            writer.write(b"x" * 1_000_000)
            status, _, body = await read_answer(reader)
            assert (status, body) == (503, b"no") and len(seen) == 1
            assert relay.relay.upstreams.idle_count == 0
            writer.close()


async def test_http_1_0_is_never_told_to_continue() -> None:
    async with actor(echo) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(
            b"POST / HTTP/1.0\r\n%bExpect: 100-continue\r\nContent-Length: 2\r\n\r\n" % HOST
        )
        writer.write(b"hi")
        assert (await read_answer(reader))[0] == 200
        writer.close()


@pytest.mark.parametrize("runner", [asyncio.run, uvloop.run])
def test_an_answer_given_before_the_body_was_read_is_not_lost_with_the_connection(
    runner: Callable[[Coroutine[None, None, None]], None],
) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig")
        await writer.drain()  # then it closes over unread bytes, which resets the connection

    async def upload() -> None:
        async with actor(refuse) as port, running(FakeUsher(port=port)) as relay:
            for _ in range(20):
                reader, writer = await relay.connect()
                writer.write(b"POST / HTTP/1.1\r\n%bContent-Length: 9000000\r\n\r\n" % HOST)
                writer.write(b"x" * 4_000_000)
                status, _, body = await read_answer(reader)
                assert (status, body) == (413, b"big")
                writer.transport.abort()

    runner(upload())


async def test_a4_a_path_set_so_is_answered_while_its_actor_sleeps_and_wakes_nobody() -> None:
    settings = RelaySettings(asleep={b"/favicon.ico": 204, b"/healthz": 200})
    usher = FakeUsher(asleep=True)
    async with running(usher, settings=settings) as relay:
        reader, writer = await relay.connect()
        for path, line in (
            (b"/favicon.ico?v=2", b"HTTP/1.1 204 No Content\r\n"),
            (b"/healthz", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
        ):
            writer.write(b"GET %b HTTP/1.1\r\n" % path + HOST + b"\r\n")
            head = await read_head(reader)
            assert head.startswith(line) and field_of(head, "x-request-id")
        writer.close()
        assert usher.demands == [] and usher.tickets == []


async def test_a4_such_a_path_reaches_an_actor_that_runs() -> None:
    settings = RelaySettings(asleep={b"/favicon.ico": 204})
    async with actor(answering(OK)) as port:
        async with running(FakeUsher(port=port), settings=settings) as relay:
            request = LAST.replace(b"GET / ", b"GET /favicon.ico ")
            assert (await relay.talk(request)).endswith(b"ok")
