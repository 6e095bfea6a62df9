"""The way of a request that has to wait: parking, wakes, connects, and when it gives up.

`running` asserts at its end that every ticket was closed once and no counter is left standing.
"""

import asyncio

from gateway.ingress.settings import RelaySettings
from tests.gateway.ingress.support import (
    GET,
    HOST,
    LAST,
    OK,
    POST,
    SCALE,
    FakeUsher,
    actor,
    echo,
    error_of,
    field_of,
    read_answer,
    recording,
    running,
)


def unused_port() -> int:
    import socket

    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


async def test_a77_a_refused_connect_is_repeated_on_the_way_found_next() -> None:
    async with actor(echo) as port:
        usher = FakeUsher(port=unused_port(), later_ports=[port])
        async with running(usher) as relay:
            assert (await relay.talk(POST)).startswith(b"HTTP/1.1 200 ")
            assert len(usher.forgotten) == 1 and relay.relay.meters.repeats["refused"] == 1


async def test_a77_connects_refused_for_good_end_in_503() -> None:
    usher = FakeUsher(port=unused_port())
    async with running(usher) as relay:
        answer = await relay.talk(LAST)
        assert answer.startswith(b"HTTP/1.1 503 ") and error_of(answer)["reason"] == "unavailable"
        assert field_of(answer, "retry-after") == "1" and len(usher.tickets) == 4


async def test_a30_a_flood_for_a_sleeping_actor_is_bounded_in_bytes() -> None:
    """Who waits is read from no further than all may bring; who would be too much is told 429."""
    usher = FakeUsher(asleep=True)
    settings = RelaySettings(parked_bytes=200_000)
    size = 60_000
    head = b"PUT / HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n" % (HOST, size)
    async with actor(echo) as port, running(usher, settings=settings) as relay:
        usher.port = port
        statuses: list[int] = []

        async def put() -> None:
            reader, writer = await relay.connect()
            writer.write(head + b"x" * size)
            statuses.append((await read_answer(reader))[0])
            writer.close()

        async with asyncio.TaskGroup() as group:
            for _ in range(40):
                group.create_task(put())
            async with asyncio.timeout(SCALE):
                while statuses.count(429) + relay.relay.parking.count < 40:
                    await asyncio.sleep(0)
                    # One read of each who was let in may lie above it.
                    assert relay.relay.parking.held_bytes < 200_000 + 4 * 262_144
            usher.awake.set()
        assert 1 <= statuses.count(200) < 40 and set(statuses) == {200, 429}
        assert relay.relay.parking.held_bytes == 0


async def test_a22_a_parked_request_that_is_cancelled_frees_its_place_at_once() -> None:
    usher = FakeUsher(asleep=True)
    async with running(usher) as relay:
        _, writer = await relay.connect()
        writer.write(GET)
        await asyncio.wait_for(usher.waiting.wait(), SCALE)
        assert (relay.relay.parking.count, relay.relay.meters.inflight) == (1, 1)
        writer.close()
        await asyncio.wait_for(usher.gave_up.wait(), SCALE)
        # The waiter's own clean-up is a step of the loop behind its cancellation.
        while relay.relay.parking.count:
            await asyncio.sleep(0)
        assert relay.relay.meters.inflight == 0 and usher.tickets == []


async def test_a73_one_more_than_may_wait_is_429_and_the_others_are_served() -> None:
    settings = RelaySettings(parked_per_actor=1)
    async with actor(echo) as port:
        usher = FakeUsher(port=port, asleep=True)
        async with running(usher, settings=settings) as relay:
            reader, writer = await relay.connect()
            writer.write(GET)
            await asyncio.wait_for(usher.waiting.wait(), SCALE)
            answer = await relay.talk(LAST)
            assert answer.startswith(b"HTTP/1.1 429 ") and field_of(answer, "retry-after") == "1"
            usher.awake.set()
            assert (await read_answer(reader))[0] == 200
            writer.close()


async def test_a74_a_wake_that_outlasts_its_budget_is_503_and_nothing_was_sent() -> None:
    usher = FakeUsher(asleep=True)
    async with running(usher, settings=RelaySettings(wake_s=0.01)) as relay:
        answer = await relay.talk(LAST)
        assert answer.startswith(b"HTTP/1.1 503 ") and error_of(answer)["reason"] == "waking"


async def test_an_invalid_ticket_sends_nothing_and_another_way_is_taken() -> None:
    seen: list[bytes] = []
    async with actor(recording(OK, seen, size=2)) as port:
        usher = FakeUsher(port=port, valid=[False])
        async with running(usher) as relay:
            assert (await relay.talk(POST)).endswith(b"ok")
        assert len(seen) == 1 and len(usher.tickets) == 2
