"""The relay as a whole on real sockets: what a client and an actor see of each other through it.

Ways, repeats and endings are test_exchange's, tunnels test_tunnel's, drains test_server's.
"""

import asyncio
import hashlib
import json

import pytest
import uvloop

from gateway.ingress.hop import DoorNaming, hop_fields
from gateway.ingress.seams import Reason, Refusal, WakeReport
from gateway.ingress.settings import RelaySettings
from placement.model import ActorId
from tests.gateway.ingress.support import (
    HOST,
    SCALE,
    FakeUsher,
    actor,
    answering,
    echo,
    error_of,
    field_of,
    read_answer,
    read_head,
    running,
)

GET = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"


async def test_a_kept_connection_carries_one_request_after_the_other() -> None:
    async with actor(echo) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        for number in range(3):
            writer.write(b"POST /%d HTTP/1.1\r\n%bContent-Length: 2\r\n\r\nhi" % (number, HOST))
            status, head, body = await read_answer(reader)
            assert status == 200
            assert body.startswith(b"POST /%d HTTP/1.1\r\n" % number) and body.endswith(b"hi")
            assert field_of(head, "x-request-id") == field_of(body, "x-request-id")
        writer.close()
        assert len(relay.usher.tickets) == 3


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with actor(echo) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(
            b"".join(b"GET /%d HTTP/1.1\r\n%b\r\n" % (n, HOST) for n in range(20))
            + b"GET /no HTTP/1.1\r\nHost: elsewhere\r\n\r\n"
            + GET
        )
        for number in range(20):
            _, _, body = await read_answer(reader)
            assert body.startswith(b"GET /%d HTTP" % number)
        assert (await read_answer(reader))[0] == 404
        assert (await read_answer(reader))[0] == 200
        writer.close()


async def test_a_thousand_pipelined_errors_need_no_deep_stack() -> None:
    async with running(FakeUsher()) as relay:
        text = await relay.talk(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2000 + b"bad\r\n\r\n")
        assert text.count(b"HTTP/1.1 404") == 2000 and text.count(b"HTTP/1.1 400") == 1


async def test_a1_a_post_of_50_mb_arrives_byte_for_byte() -> None:
    size = 50 * 1024 * 1024
    block = bytes(range(256)) * 4096

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        digest, left = hashlib.sha256(), size
        while left:
            data = await reader.read(1 << 20)
            digest.update(data)
            left -= len(data)
        text = digest.hexdigest().encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text))
        await writer.drain()

    async with actor(count) as port:
        usher = FakeUsher(port=port, asleep=True)
        async with running(usher) as relay:
            reader, writer = await relay.connect()
            writer.write(b"POST / HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (HOST, size))
            await usher.waiting.wait()
            expected = hashlib.sha256()
            for number in range(size // len(block)):
                expected.update(block)
                writer.write(block)
                if number == 4:
                    usher.awake.set()
                if number >= 4:
                    await writer.drain()
            _, _, body = await read_answer(reader)
            assert body.decode() == expected.hexdigest()
            writer.close()
            assert relay.relay.meters.bytes_in == size


async def test_chunks_pass_both_ways_as_they_are() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = await reader.readuntil(b"0\r\nX-Sum: 1\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        await writer.drain()

    chunks = b"5;x=y\r\nhello\r\n3\r\n...\r\n0\r\nX-Sum: 1\r\n\r\n"
    async with actor(serve) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(b"POST / HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % HOST)
        for byte in chunks:
            writer.write(bytes([byte]))
            await writer.drain()
        head = await read_head(reader)
        assert field_of(head, "transfer-encoding") == "chunked"
        assert await reader.readexactly(len(chunks)) == chunks
        writer.close()


async def test_a32_the_first_event_of_a_stream_arrives_before_the_second_is_made() -> None:
    seen = asyncio.Event()

    async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await seen.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        await writer.drain()

    async with actor(events) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(GET)
        await read_head(reader)
        assert await reader.readexactly(8) == b"3\r\none\r\n"
        (ticket,) = relay.usher.tickets  # which a stream holds, and keeps alive by what it says
        assert ticket.closed == 0
        seen.set()
        assert await reader.readuntil(b"0\r\n\r\n") == b"3\r\ntwo\r\n0\r\n\r\n"
        assert ticket.touched == 1
        writer.close()


async def test_a_body_until_close_reaches_http_1_1_in_chunks_and_http_1_0_as_it_is() -> None:
    serve = answering(b"HTTP/1.0 200 OK\r\n\r\nall of it")
    async with actor(serve) as port, running(FakeUsher(port=port)) as relay:
        new = await relay.talk(b"GET / HTTP/1.1\r\n%bConnection: close\r\n\r\n" % HOST)
        assert new.endswith(b"\r\n\r\n9\r\nall of it\r\n0\r\n\r\n")
        old = await relay.talk(b"GET / HTTP/1.0\r\n%b\r\n" % HOST)
        assert old.endswith(b"\r\n\r\nall of it") and b"chunked" not in old


async def test_chunks_are_taken_out_for_http_1_0() -> None:
    serve = answering(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    )
    async with actor(serve) as port, running(FakeUsher(port=port)) as relay:
        text = await relay.talk(b"GET / HTTP/1.0\r\n%bConnection: keep-alive\r\n\r\n" % HOST)
        head, _, body = text.partition(b"\r\n\r\n")
        assert body == b"onetwo" and b"chunked" not in head and b"Connection: close" in head


async def test_head_204_and_304_have_no_body_and_keep_the_connection() -> None:
    serve = answering(
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    )
    async with actor(serve) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        heads = []
        for method in (b"HEAD", b"GET", b"GET"):
            writer.write(b"%b / HTTP/1.1\r\n%b\r\n" % (method, HOST))
            heads.append((await read_head(reader))[9:12])
        writer.write(GET)
        assert heads == [b"200", b"204", b"304"]
        assert (await read_answer(reader))[2] == b"hi"
        writer.close()


async def test_interim_answers_are_passed_on_before_the_final_one() -> None:
    serve = answering(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    )
    async with actor(serve) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(GET)
        assert await read_head(reader) == b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        assert (await read_answer(reader))[0] == 200
        writer.close()


async def test_a16_an_answer_may_end_before_its_request_does() -> None:
    read = asyncio.Event()

    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly")
        await reader.readexactly(4)
        read.set()
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")

    async with actor(early) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await relay.connect()
        writer.write(b"PUT / HTTP/1.1\r\n%bContent-Length: 4\r\n\r\n" % HOST)
        assert (await read_answer(reader))[2] == b"early"
        writer.write(b"late")
        await asyncio.wait_for(read.wait(), SCALE)
        writer.write(GET)
        assert (await read_answer(reader))[2] == b"next"
        writer.close()


async def test_the_client_is_told_to_continue_when_the_actor_is_there() -> None:
    async with actor(echo) as port:
        usher = FakeUsher(port=port, asleep=True)
        async with running(usher) as relay:
            reader, writer = await relay.connect()
            writer.write(
                b"POST / HTTP/1.1\r\n%bContent-Length: 2\r\nExpect: 100-continue\r\n\r\n" % HOST
            )
            await usher.waiting.wait()
            usher.awake.set()
            assert await read_head(reader) == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"hi")
            _, _, body = await read_answer(reader)
            assert body.endswith(b"hi") and b"xpect" not in body
            writer.close()


async def test_what_clients_say_of_their_way_and_of_ours_is_replaced() -> None:
    async with actor(echo) as port, running(FakeUsher(port=port)) as relay:
        text = await relay.talk(
            b"GET / HTTP/1.1\r\n%bConnection: close, X-Mine\r\nX-Mine: 1\r\n"
            b"X-Forwarded-For: 6.6.6.6\r\n"
            b"X-Forwarded-Proto: https\r\nRouse-Actor: a/b\r\nX-Request-Id: mine\r\n"
            b"Traceparent: 00-1-2-01\r\nTE: trailers\r\n\r\n" % HOST
        )
        seen = text.partition(b"\r\n\r\n")[2]
        assert field_of(seen, "x-forwarded-for") == "127.0.0.1"
        assert field_of(seen, "x-forwarded-proto") == "http"
        assert field_of(seen, "x-forwarded-host") == "a1.demo.actors.localhost"
        assert field_of(seen, "traceparent") == "00-1-2-01"
        for gone in ("x-mine", "rouse-actor", "te", "connection"):
            assert field_of(seen, gone) is None
        assert field_of(seen, "x-request-id") not in (None, "mine")


async def test_an_actor_reached_by_path_sees_its_own_paths() -> None:
    async with actor(echo) as port, running(FakeUsher(port=port)) as relay:
        text = await relay.talk(
            b"GET /actors/demo/a1/x?y HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n"
        )
        seen = text.partition(b"\r\n\r\n")[2]
        assert seen.startswith(b"GET /x?y HTTP/1.1\r\n")
        assert field_of(seen, "x-forwarded-prefix") == "/actors/demo/a1"
        text = await relay.talk(
            b"GET /actors/demo/a1?y HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n"
        )
        assert text.startswith(b"HTTP/1.1 308 ")
        assert field_of(text, "location") == "/actors/demo/a1/?y"


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad-request"),
        (b"GET / HTTP/1.1\r\nHost: A_.demo.actors.localhost\r\n\r\n", 400, "bad-name"),
        (b"GET / HTTP/1.1\r\nHost: elsewhere\r\n\r\n", 404, "no-actor"),
        (b"GET /" + b"t" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, "target-too-long"),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 70_000 + b"\r\n\r\n", 431, "head-too-large"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 300 + b"\r\n", 431, "head-too-large"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501, "not-implemented"),
    ],
)
async def test_a70_a72_a78_a_request_of_no_use_gets_its_row_of_the_contract(
    text: bytes, status: int, reason: str
) -> None:
    async with running(FakeUsher()) as relay:
        answer = await relay.talk(text.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        error = error_of(answer)
        assert (error["code"], error["reason"]) == (status, reason)
        assert error["request_id"] == field_of(answer, "x-request-id")
        assert relay.usher.demands == [] and relay.usher.tickets == []


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Reason.NO_ACTOR, 404),
        (Reason.QUEUE_FULL, 429),
        (Reason.WAKING, 503),
        (Reason.NO_CAPACITY, 503),
        (Reason.FAILED_START, 503),
        (Reason.SHUTTING_DOWN, 503),
        (Reason.UNAVAILABLE, 503),
    ],
)
async def test_a73_a74_a82_the_ushers_refusal_is_the_answer(reason: Reason, status: int) -> None:
    refusal = Refusal(reason, "no", actor=ActorId("demo", "a1"), retry_after_s=1.2)
    async with running(FakeUsher(refusal=refusal)) as relay:
        reader, writer = await relay.connect()
        for _ in range(2):  # the connection stays good
            writer.write(GET)
            got, head, body = await read_answer(reader)
            assert got == status and field_of(head, "x-request-id")
            assert json.loads(body)["error"]["actor"] == "demo/a1"
            assert field_of(head, "retry-after") == ("2" if status in (429, 503) else None)
        writer.close()


async def test_a80_a81_a_woken_answer_tells_where_the_time_went_and_a_warm_one_does_not() -> None:
    report = WakeReport(kind="cold", phases=(("total", 84.24), ("queue", 1.0)))
    async with actor(echo) as port:
        usher = FakeUsher(port=port, asleep=True, wake=report)
        usher.awake.set()
        async with running(usher) as relay:
            reader, writer = await relay.connect()
            writer.write(GET)
            _, head, _ = await read_answer(reader)
            assert field_of(head, "rouse-wake") == "cold; total=84.2, queue=1.0"
            assert field_of(head, "server-timing") == "total;dur=84.2, queue;dur=1.0"
            usher.asleep = False
            writer.write(GET)
            _, head, _ = await read_answer(reader)
            assert field_of(head, "rouse-wake") is None
            writer.close()
        cold, warm = (json.loads(line) for line in b"".join(relay.log).splitlines())
        assert (cold["wake"], cold["wake_ms"]) == ("cold", 84.2) and "wake" not in warm


async def test_a_door_serves_gateways_with_its_key_only_and_shows_the_actor_nothing_of_it() -> None:
    naming = DoorNaming(key="k3y")
    fields = hop_fields(ActorId("demo", "a1"), uid="u1", epoch=7, port="http", key="k3y")
    async with (
        actor(echo) as port,
        running(FakeUsher(port=port, asleep=True), naming=naming) as door,
    ):
        door.usher.awake.set()
        head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Request-Id: r1\r\n"
        answer = await door.talk(head + b"X-Forwarded-For: 1.2.3.4\r\n" + fields + b"\r\n")
        seen = answer.partition(b"\r\n\r\n")[2]
        assert b"ouse-" not in seen and field_of(seen, "x-forwarded-for") == "1.2.3.4"
        assert field_of(seen, "x-request-id") == "r1" == field_of(answer, "x-request-id")
        (demand,) = door.usher.demands
        assert (demand.actor, demand.uid, demand.epoch, demand.port) == (
            ActorId("demo", "a1"),
            "u1",
            7,
            "http",
        )
        for wrong in (
            fields.replace(b"k3y", b"kee"),
            fields.replace(b"Rouse-Hop-Key: k3y\r\n", b""),
        ):
            answer = await door.talk(head + wrong + b"\r\n")
            assert answer.startswith(b"HTTP/1.1 403 ")


async def test_a_slow_reader_costs_bounded_memory() -> None:
    written = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
        while written < 512 * 65_536:
            writer.write(chunk)
            written += 65_536
            stalled.clear()
            try:
                async with asyncio.timeout(0.5):
                    await writer.drain()
            except TimeoutError:
                stalled.set()
                await writer.drain()
        writer.write(b"0\r\n\r\n")

    stalled = asyncio.Event()
    async with actor(pour) as port, running(FakeUsher(port=port)) as relay:
        reader, writer = await asyncio.open_connection("127.0.0.1", relay.port, limit=1024)
        writer.write(GET)
        await asyncio.wait_for(stalled.wait(), SCALE)
        assert written < 300 * 65_536  # what the sockets' own buffers hold, and little more
        total = 0
        async with asyncio.timeout(SCALE):
            while total < 512 * 65_536:
                total += len(await reader.read(1 << 20))
        writer.close()


async def test_a5_a76_a_first_byte_budget_that_ends_is_504_and_nothing_is_sent_again() -> None:
    seen: list[bytes] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        await reader.read()

    settings = RelaySettings(first_byte_s=0.05)
    async with actor(silent) as port, running(FakeUsher(port=port), settings=settings) as relay:
        reader, writer = await relay.connect()
        writer.write(GET)
        status, _, body = await read_answer(reader)
        assert status == 504 and json.loads(body)["error"]["reason"] == "no-answer"
        # The actor is not blamed: its route stays, and the ticket ends like any other.
        assert len(seen) == 1 and relay.usher.forgotten == []
        assert relay.usher.tickets[0].closed == 1
        writer.close()


async def test_a25_an_abandoned_answer_reaches_no_other_caller() -> None:
    """Whatever the actor still sends for who left: the next caller, on what connection ever, gets
    the answer to its own request (A37)."""
    asked, left = asyncio.Event(), asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            target = head.split(b" ")[1]
            if target == b"/first":
                asked.set()
                await left.wait()
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(target) + target)
            await writer.drain()

    async with actor(late) as port, running(FakeUsher(port=port)) as relay:
        _, leaver = await relay.connect()
        leaver.write(GET.replace(b" / ", b" /first "))
        await asyncio.wait_for(asked.wait(), SCALE)
        leaver.close()
        await asyncio.wait_for(relay.usher.closed.wait(), SCALE)
        left.set()
        reader, writer = await relay.connect()
        for number in range(20):
            writer.write(GET.replace(b" / ", b" /%d " % number))
            assert (await read_answer(reader))[2] == b"/%d" % number
        writer.close()


async def test_a65_an_open_connection_without_a_request_is_no_ticket() -> None:
    """A browser tab that is open and asks for nothing keeps nobody awake."""
    async with actor(echo) as port, running(FakeUsher(port=port)) as relay:
        tabs = [await relay.connect() for _ in range(3)]
        for reader, writer in tabs:
            writer.write(GET)
            await read_answer(reader)
        assert relay.relay.meters.connections == 3
        assert [ticket.closed for ticket in relay.usher.tickets] == [1, 1, 1]
        for _, writer in tabs:
            writer.close()


def test_the_relay_works_on_uvloop_as_on_the_stock_loop() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await echo(reader, writer)

    async def talk_to_it() -> None:
        async with actor(serve) as port:
            usher = FakeUsher(port=port, asleep=True)
            usher.awake.set()
            async with running(usher) as relay:
                reader, writer = await relay.connect()
                for size in (0, 10, 300_000):
                    writer.write(b"PUT / HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (HOST, size))
                    writer.write(b"x" * size)
                    status, _, body = await read_answer(reader)
                    assert status == 200 and body.endswith(b"\r\n\r\n" + b"x" * size)
                    usher.asleep = False
                writer.close()
                assert (await relay.talk(b"nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")

    uvloop.run(talk_to_it())


async def test_a23_a_herd_on_a_sleeping_actor_is_served_whole_when_it_wakes() -> None:
    async with actor(echo) as port:
        usher = FakeUsher(port=port, asleep=True)
        async with running(usher) as relay:

            async def call(number: int) -> bytes:
                reader, writer = await relay.connect()
                writer.write(b"GET /%d HTTP/1.1\r\n%b\r\n" % (number, HOST))
                _, _, body = await read_answer(reader)
                writer.close()
                return body.partition(b" HTTP")[0]

            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(call(number)) for number in range(200)]
                async with asyncio.timeout(SCALE):
                    while relay.relay.parking.count < 200:
                        await asyncio.sleep(0)
                usher.awake.set()
            assert [c.result() for c in calls] == [b"GET /%d" % n for n in range(200)]
