"""Dialing as a backend's policies say: sockets, names, probes, deadlines, protocols."""

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from tests.gateway.egress.http2_origin import http2_origin
from tests.gateway.egress.world import behind, intercept, ok, origin, running, send


async def test_a_backend_may_be_a_socket_in_the_file_system(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(ok(b"unix"))
            await writer.drain()
        writer.close()

    path = tmp_path / "s"
    server = await asyncio.start_unix_server(serve, path)
    async with server, running(tmp_path, behind(1, "").replace("127.0.0.1:1", f"unix:{path}")) as w:
        assert (await send(w, "GET", "/"))[2] == b"unix"
        assert b"host: localhost\r\n" in heads[0]


@pytest.mark.parametrize(
    ("names", "status"), [("[other.test, API.test]", 200), ("[other.test]", 503)]
)
async def test_the_certificate_is_for_one_of_the_names(
    tmp_path: Path, names: str, status: int
) -> None:
    async with origin(tmp_path) as out:
        text = intercept(out.port, out.ca).replace(
            "hostname: api.test}", f"subjectAltNames: {names}}}"
        )
        async with running(tmp_path, text) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            got, _head, body = await talk.whole()
            assert got == status and (status == 200 or b"subjectAltNames" in body)
            talk.close()


async def test_probes_are_set_on_the_socket(tmp_path: Path) -> None:
    rules = "tcp: {keepalives: {time: 50s, interval: 20s, retries: 3}, connectTimeout: 5s}"
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, "", backend=rules)) as world:
            assert (await send(world, "GET", "/"))[0] == 200
            (kept,) = world.proxy.parts.upstreams._open
            assert kept.transport is not None
            sock = kept.transport.get_extra_info("socket")
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 20


async def test_a_backend_has_its_own_deadline(tmp_path: Path) -> None:
    async def never(_head: bytes, _body: bytes) -> bytes:
        await asyncio.Event().wait()
        return b""

    async with origin(tmp_path, never, tls=False) as out:
        rules = "http: {requestTimeout: 200ms}"
        async with running(tmp_path, behind(out.port, "", backend=rules)) as world:
            status, _head, body = await send(world, "GET", "/")
            assert status == 504 and body.startswith(b"upstream call timeout\n")


@pytest.mark.parametrize(("group", "status"), [("P-384", 200), ("P-256", 503)])
async def test_keys_are_exchanged_over_the_group_that_is_said(
    tmp_path: Path, group: str, status: int
) -> None:
    async with origin(tmp_path, curve="secp384r1") as out:
        text = intercept(out.port, out.ca).replace(
            "hostname: api.test}", f"hostname: api.test, keyExchangeGroups: [{group}]}}"
        )
        async with running(tmp_path, text) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            assert (await talk.whole())[0] == status
            talk.close()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("policies: {backendTLS", "policies: {http: {version: HTTP/2.0}, backendTLS"),
        ("hostname: api.test}", "hostname: api.test, alpn: [h2, http/1.1]}"),
    ],
)
async def test_http2_is_tried_first_where_it_is_said(tmp_path: Path, old: str, new: str) -> None:
    async with http2_origin(tmp_path, lambda stream: stream.answer(body=b"two")) as out:
        text = intercept(out.port, out.ca).replace(old, new)
        assert new in text
        async with running(tmp_path, text) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            assert b"two" in await talk.reader.readuntil(b"two")
            assert out.connections == 1
            talk.close()
