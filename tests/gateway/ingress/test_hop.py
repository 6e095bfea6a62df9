"""How one relay names an actor to another, and who is let in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.ingress.codec.request import scan_fields
from gateway.ingress.hop import DoorNaming, hop_fields
from gateway.ingress.seams import Reason, Refusal, WakeReport
from placement.model import ActorId
from tests.gateway.ingress.support import (
    HOST,
    SCALE,
    FakeUsher,
    Running,
    actor,
    echo,
    field_of,
    read_answer,
    read_head,
    running,
)

A1 = ActorId("demo", "a1")


def block(lines: bytes) -> bytes:
    return b"\r\nHost: h\r\n" + lines.removesuffix(b"\r\n")


def test_what_a_ticket_says_is_what_the_door_reads() -> None:
    naming = DoorNaming(key="k")
    fields = scan_fields(block(hop_fields(A1, uid="u", epoch=3, port="http", key="k")))
    place = naming.name(b"/", fields)
    demand = place.demand
    assert (demand.actor, demand.uid, demand.epoch, demand.port) == (A1, "u", 3, "http")
    assert naming.name(b"/other", fields) is place


def refused(lines: bytes, key: str | None = None) -> Reason:
    with pytest.raises(Refusal) as caught:
        DoorNaming(key=key).name(b"/", scan_fields(block(lines)))
    return caught.value.reason


def test_a_door_with_a_key_reads_nothing_without_it() -> None:
    lines = hop_fields(A1, uid="u", epoch=3)
    assert refused(lines, key="k") is Reason.FORBIDDEN
    assert refused(lines + b"Rouse-Hop-Key: kk\r\n", key="k") is Reason.FORBIDDEN
    assert refused(b"Rouse-Hop-Key: \r\n", key="k") is Reason.FORBIDDEN


def test_a_door_refuses_what_is_no_hop() -> None:
    assert refused(b"A: b\r\n") is Reason.BAD_REQUEST
    assert refused(b"Rouse-Actor: nonsense\r\n") is Reason.BAD_NAME
    assert refused(b"Rouse-Actor: demo/a1\r\nRouse-Epoch: x\r\n") is Reason.BAD_REQUEST
    assert refused(b"Rouse-Actor: demo/a1\r\nrouse-actor: demo/a2\r\n") is Reason.BAD_REQUEST


def test_a_hop_field_cannot_hold_another_line() -> None:
    with pytest.raises(ValueError, match="visible"):
        hop_fields(A1, uid="u\r\nX: y", epoch=1)


@asynccontextmanager
async def edge_and_door(
    door: FakeUsher, *, later: list[int] | None = None
) -> AsyncIterator[tuple[Running, Running]]:
    fields = hop_fields(A1, uid="u", epoch=3, key="k")
    async with running(door, naming=DoorNaming(key="k")) as at_door:
        usher = FakeUsher(port=at_door.port, hop_fields=fields, later_ports=later or [])
        async with running(usher) as at_edge:
            yield at_edge, at_door


async def test_through_edge_and_door_an_actor_sees_one_request_and_no_trace_of_the_hop() -> None:
    report = WakeReport(kind="thaw", phases=(("total", 5.0),))
    async with actor(echo) as port:
        door = FakeUsher(port=port, asleep=True, wake=report)
        door.awake.set()
        async with edge_and_door(door) as (edge, _):
            answer = await edge.talk(
                b"PUT /p HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nConnection: close\r\n\r\nhi"
            )
        seen = answer.partition(b"\r\n\r\n")[2]
        assert seen.startswith(b"PUT /p HTTP/1.1\r\n") and seen.endswith(b"hi")
        assert b"ouse-" not in seen and seen.lower().count(b"x-forwarded-for: 127.0.0.1") == 1
        assert field_of(seen, "x-request-id") == field_of(answer, "x-request-id")
        assert field_of(answer, "rouse-wake") == "thaw; total=5.0"
        assert door.demands[0].epoch == 3


async def test_equal_heads_that_differ_in_our_id_alone_keep_their_own_ids_and_answers() -> None:
    """Between relays the last request's head is recognised; what it was about must not leak."""
    async with actor(echo) as port, edge_and_door(FakeUsher(port=port)) as (edge, _):
        reader, writer = await edge.connect()
        told = []
        for path in (b"/a", b"/a", b"/a", b"/b", b"/b", b"/a"):
            writer.write(b"GET %b HTTP/1.1\r\n" % path + HOST + b"\r\n")
            status, head, seen = await read_answer(reader)
            assert status == 200 and seen.startswith(b"GET %b HTTP/1.1\r\n" % path)
            assert b"ouse-" not in seen and head.count(b"X-Request-Id") == 1
            assert field_of(seen, "x-request-id") == field_of(head, "x-request-id")
            told.append(field_of(seen, "x-request-id"))
        assert len(set(told)) == len(told)
        writer.close()


@pytest.mark.parametrize("size", [2, 66_000, 150_000, 1_000_000])
async def test_a28_a_post_to_a_stale_door_reaches_the_right_one_once(size: int) -> None:
    async with (
        actor(echo) as port,
        running(FakeUsher(port=port), naming=DoorNaming(key="k")) as new,
    ):
        stale = FakeUsher(refusal=Refusal(Reason.STALE_ROUTE, "not here"))
        async with edge_and_door(stale, later=[new.port]) as (edge, _):
            reader, writer = await edge.connect()
            writer.write(b"POST / HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (HOST, size))
            writer.write(b"x" * size)
            status, _, body = await read_answer(reader)
            assert status == 200 and body.endswith(b"\r\n\r\n" + b"x" * size)
            writer.close()
        assert len(new.usher.tickets) == 1 and edge.relay.meters.repeats["stale-route"] == 1


async def test_a_stream_of_chunks_of_unknown_size_passes_edge_and_door() -> None:
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"

    async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert b"xpect" not in await reader.readuntil(b"\r\n\r\n")
        body = await reader.readuntil(b"\r\n0\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n%7d" % len(body))
        await writer.drain()

    async with actor(count) as port, edge_and_door(FakeUsher(port=port)) as (edge, _):
        reader, writer = await edge.connect()
        writer.write(b"POST / HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n" % HOST)
        for _ in range(40):
            writer.write(chunk)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        assert int((await read_answer(reader))[2]) == 40 * len(chunk) + 5
        writer.close()


async def test_a13_a_client_that_leaves_frees_the_ticket_at_the_door_too() -> None:
    door = FakeUsher(asleep=True)
    async with edge_and_door(door) as (edge, at_door):
        _, writer = await edge.connect()
        writer.write(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await asyncio.wait_for(door.waiting.wait(), SCALE)
        writer.close()
        await asyncio.wait_for(door.gave_up.wait(), SCALE)
        while at_door.relay.parking.count:
            await asyncio.sleep(0)


async def test_an_upgrade_passes_edge_and_door() -> None:
    async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
        )
        writer.write(await reader.readexactly(4))
        await reader.read()

    async with actor(switch) as port, edge_and_door(FakeUsher(port=port)) as (edge, _):
        reader, writer = await edge.connect()
        writer.write(b"GET / HTTP/1.1\r\n%bConnection: upgrade\r\nUpgrade: x\r\n\r\nping" % HOST)
        assert (await read_head(reader)).startswith(b"HTTP/1.1 101 ")
        async with asyncio.timeout(SCALE):
            assert await reader.readexactly(4) == b"ping"
        writer.close()
