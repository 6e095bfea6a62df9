"""Origins that speak HTTP/2 alone: streams both ways, and all the ways in which they end one."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame, PingFrame

from gateway.egress import http2
from tests.gateway.egress.http2_origin import Handler, Http2Origin, Stream, http2_origin
from tests.gateway.egress.world import Talk, World, intercept, origin, running


@contextlib.asynccontextmanager
async def _talking(
    tmp_path: Path, handler: Handler, *, window: int = 65_535
) -> AsyncIterator[tuple[Http2Origin, World, Talk]]:
    async with http2_origin(tmp_path, handler, window=window) as out:
        async with running(tmp_path, intercept(out.port, out.ca)) as world:
            yield out, world, await _inside(world)


async def _inside(world: World) -> Talk:
    talk = await world.connect("api.test:443")
    await talk.tls(world.client_tls(), "api.test")
    return talk


def _get(path: str = "/", more: str = "") -> str:
    return f"GET {path} HTTP/1.1\r\nHost: api.test\r\n{more}\r\n"


def _post(body: bytes) -> bytes:
    head = f"POST / HTTP/1.1\r\nHost: api.test\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def test_a_request_crosses_and_the_connection_is_kept(tmp_path: Path) -> None:
    def echo(stream: Stream) -> None:
        stream.answer((b"x-path", stream.field(b":path") or b""), body=stream.body or b"none")

    async with _talking(tmp_path, echo) as (out, world, talk):
        for number in range(3):
            talk.say(_get(f"/{number}?a=b"))
            status, head, body = await talk.whole()
            assert (status, body) == (200, b"none") and b"x-path: /%d?a=b\r\n" % number in head
        # The first took the offer of HTTP/1.1 for none and spoke HTTP/2 all the same.
        assert out.connections == 2
        talk.say(_post(b"hello"))
        assert (await talk.whole())[2] == b"hello"
        assert out.streams[-1].field(b":authority") == f"127.0.0.1:{out.port}".encode()
        assert out.connections == 2 and world.lines[-1].bytes_in == 5
        other = await _inside(world)
        other.say(_get())
        assert (await other.whole())[0] == 200


@pytest.mark.parametrize("window", [10_000, 65_535])
async def test_large_bodies_go_both_ways_through_small_windows(tmp_path: Path, window: int) -> None:
    body = bytes(range(256)) * 8000
    async with _talking(tmp_path, lambda s: s.answer(body=s.body), window=window) as found:
        _out, _world, talk = found
        talk.say(_get())  # what is sent twice, to learn what is spoken, has to be small
        assert (await talk.whole())[0] == 200
        talk.say(_post(body))
        assert (await talk.whole())[2] == body
        talk.say("POST / HTTP/1.1\r\nHost: api.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        for at in range(0, len(body), 100_000):
            piece = body[at : at + 100_000]
            talk.say(b"%x\r\n%b\r\n" % (len(piece), piece))
        talk.say("0\r\n\r\n")
        assert (await talk.whole())[2] == body


async def test_an_answer_without_a_length_is_chunked_and_its_trailers_come_along(
    tmp_path: Path,
) -> None:
    def grpc(stream: Stream) -> None:
        h2, number = stream.on.h2, stream.number
        h2.send_headers(number, [(b":status", b"103"), (b"link", b"</x>")])
        h2.send_headers(number, [(b":status", b"200"), (b"content-type", b"application/grpc")])
        h2.send_data(number, b"message")
        h2.send_headers(number, [(b"grpc-status", b"0")], end_stream=True)

    async with _talking(tmp_path, grpc) as (_out, _world, talk):
        talk.say(_get())
        assert (await talk.head()).startswith(b"HTTP/1.1 103 ")
        assert b"\r\ntransfer-encoding: chunked\r\n" in await talk.head()
        rest = await talk.reader.readuntil(b"\r\n\r\n")
        assert rest == b"7\r\nmessage\r\n0\r\ngrpc-status: 0\r\n\r\n"


async def test_a_head_and_an_empty_answer_have_no_body(tmp_path: Path) -> None:
    def handler(stream: Stream) -> None:
        if stream.field(b":path") == b"/204":
            stream.on.h2.send_headers(stream.number, [(b":status", b"204")], end_stream=True)
        else:
            length = (b"content-length", b"100")
            stream.on.h2.send_headers(
                stream.number, [(b":status", b"200"), length], end_stream=True
            )

    async with _talking(tmp_path, handler) as (_out, _world, talk):
        talk.say("HEAD / HTTP/1.1\r\nHost: api.test\r\n\r\n" + _get("/204"))
        assert b"\r\ncontent-length: 100\r\n" in await talk.head()
        assert (await talk.head()).startswith(b"HTTP/1.1 204 ")


# Ends ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (ErrorCodes.CANCEL, 503),
        (ErrorCodes.ENHANCE_YOUR_CALM, 503),
        (ErrorCodes.HTTP_1_1_REQUIRED, 503),
        (ErrorCodes.INTERNAL_ERROR, 502),
        (ErrorCodes.PROTOCOL_ERROR, 502),
    ],
)
async def test_a_reset_before_the_answer_is_told(
    tmp_path: Path, code: ErrorCodes, status: int
) -> None:
    def reset(stream: Stream) -> None:
        stream.on.h2.reset_stream(stream.number, code)

    async with _talking(tmp_path, reset) as (out, world, talk):
        talk.say(_post(b"x"))
        got, _head, body = await talk.whole()
        assert got == status and code.name.encode() in body
        assert len(out.streams) == 1, "it was read, so it is not sent again"
        assert world.lines[-1].decision == "fail"


async def test_a_refused_stream_is_sent_again_once(tmp_path: Path) -> None:
    def refuse_one(stream: Stream) -> None:
        if stream.body == b"never" or len(out.streams) == 1:
            stream.on.h2.reset_stream(stream.number, ErrorCodes.REFUSED_STREAM)
        else:
            stream.answer(body=stream.body)

    async with _talking(tmp_path, refuse_one) as (out, _world, talk):
        # A GET first: learning that it is HTTP/2 takes the one repeat that there is.
        talk.say(_get())
        assert (await talk.whole())[0] == 503
        talk.say(_post(b"pay"))
        assert (await talk.whole())[::2] == (200, b"pay")
        talk.say(_post(b"never"))
        assert (await talk.whole())[0] == 503 and [s.body for s in out.streams[-2:]] == [
            b"never"
        ] * 2


async def test_a_reset_inside_the_answer_breaks_it(tmp_path: Path) -> None:
    def half(stream: Stream) -> None:
        stream.on.h2.send_headers(stream.number, [(b":status", b"200")])
        stream.on.h2.send_data(stream.number, b"half")
        stream.on.h2.reset_stream(stream.number, ErrorCodes.INTERNAL_ERROR)

    async with _talking(tmp_path, half) as (_out, world, talk):
        talk.say(_get())
        await talk.head()
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await talk.reader.readuntil(b"0\r\n\r\n")
        assert world.lines[-1].decision == "fail"


async def test_what_was_begun_before_a_goaway_is_answered_and_the_next_goes_elsewhere(
    tmp_path: Path,
) -> None:
    def going(stream: Stream) -> None:
        goaway = GoAwayFrame(0, last_stream_id=stream.number).serialize()
        stream.on.transport.write(goaway)  # the library would end everything here
        stream.answer(body=b"still")

    async with _talking(tmp_path, going) as (out, _world, talk):
        for number in range(3):
            talk.say(_get())
            assert (await talk.whole())[::2] == (200, b"still")
            assert out.connections == number + 2


async def test_what_a_goaway_says_was_not_looked_at_is_sent_again(tmp_path: Path) -> None:
    def going(stream: Stream) -> None:
        if stream.body == b"twice" and not any(s.body for s in out.streams[:-1]):
            stream.on.transport.write(GoAwayFrame(0, last_stream_id=0).serialize())
        else:
            stream.answer(body=stream.body)

    async with _talking(tmp_path, going) as (out, _world, talk):
        talk.say(_get())
        assert (await talk.whole())[0] == 200
        talk.say(_post(b"twice"))
        assert (await talk.whole())[::2] == (200, b"twice")
        assert out.connections == 3


# Nonsense ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        [(b":status", b"200"), (b"x", b"y\r\nset-cookie: evil=1")],
        [(b":status", b"200"), (b"x\r\nset-cookie: evil=1\r\ny", b"z")],
        [(b":status", b"200"), (b"transfer-encoding", b"chunked")],
        [(b":status", b"200"), (b"content-length", b"1"), (b"content-length", b"2")],
        [(b":status", b"101")],
        [(b"x", b"y")],
    ],
)
async def test_an_answer_that_http_1_would_read_otherwise_is_502(
    tmp_path: Path, fields: list[tuple[bytes, bytes]]
) -> None:
    def smuggle(stream: Stream) -> None:
        stream.on.h2.send_headers(stream.number, fields)
        stream.on.h2.send_data(stream.number, b"HTTP/1.1 200 OK\r\n\r\n")

    async with _talking(tmp_path, smuggle) as (_out, _world, talk):
        talk.say(_get())
        status, head, body = await talk.whole()
        assert status == 502 and b"evil" not in head + body
        talk.say(_get())
        assert (await talk.head()).startswith(b"HTTP/1.1 502 "), "nothing is left of the first"


async def test_a_body_that_is_not_as_long_as_it_says_is_no_answer(tmp_path: Path) -> None:
    def short(stream: Stream) -> None:
        h2 = stream.on.h2
        h2.send_headers(stream.number, [(b":status", b"200"), (b"content-length", b"10")])
        h2.send_data(stream.number, b"four", end_stream=True)

    async with _talking(tmp_path, short) as (_out, world, talk):
        talk.say(_get())
        assert (await talk.whole())[0] == 502
        assert world.lines[-1].decision == "fail"


async def test_a_server_that_asks_and_never_answers_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2, "_MOST_ASKED", 100)
    pings = PingFrame(0, b"12345678").serialize() * 200

    def flood(stream: Stream) -> None:
        stream.on.transport.write(pings)

    async with _talking(tmp_path, flood) as (_out, _world, talk):
        talk.say(_get())
        assert (await talk.whole())[0] == 502


async def test_another_protocol_can_not_be_asked_for(tmp_path: Path) -> None:
    async with _talking(tmp_path, lambda s: s.answer()) as (out, _world, talk):
        talk.say(_get(more="Connection: Upgrade\r\nUpgrade: websocket\r\n"))
        status, _head, body = await talk.whole()
        assert status == 502 and body.startswith(b"request upgrade failed\n") and not out.streams


# A server that is not ours -------------------------------------------------------------------

NODE = """
const http2 = require('http2'), fs = require('fs')
const server = http2.createSecureServer({
  key: fs.readFileSync(process.argv[2]), cert: fs.readFileSync(process.argv[3]), allowHTTP1: false,
})
server.on('stream', (stream, headers) => {
  let size = 0
  stream.on('data', piece => { size += piece.length })
  stream.on('end', () => {
    stream.respond({':status': 200, 'x-auth': headers.authorization || ''})
    for (let i = 0; i < 50; i++) stream.write('x'.repeat(10000))
    stream.end(`${headers[':method']} ${size}`)
  })
})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
"""


async def test_node_that_refuses_http_1_is_spoken_to_in_http_2(tmp_path: Path) -> None:
    node = shutil.which("node")
    assert node is not None, "node is missing: make tools"
    ca = trustme.CA()
    leaf = ca.issue_cert("api.test")
    key, cert, script = (tmp_path / each for each in ("leaf.key", "leaf.pem", "server.js"))
    leaf.private_key_pem.write_to_path(str(key))
    leaf.cert_chain_pems[0].write_to_path(str(cert))
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    script.write_text(NODE)
    process = await asyncio.create_subprocess_exec(
        node, str(script), str(key), str(cert), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            port = int(await process.stdout.readline())
        text = intercept(port, tmp_path / "ca.pem", policies="backendAuth: {key: sekret}")
        async with running(tmp_path, text) as world:
            talk = await _inside(world)
            for _ in range(2):
                talk.say(_post(b"y" * 300_000))
                assert b"\r\nx-auth: Bearer sekret\r\n" in await talk.head()
                body = b""
                async with asyncio.timeout(20):
                    while size := int(await talk.reader.readline(), 16):
                        body += (await talk.reader.readexactly(size + 2))[:-2]
                    await talk.reader.readline()
                assert body == b"x" * 500_000 + b"POST 300000"
    finally:
        process.kill()
        await process.wait()


async def test_a_server_that_takes_http_1_is_not_asked_for_http_2(tmp_path: Path) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:
        talk = await _inside(world)
        talk.say(_get())
        assert (await talk.whole())[0] == 200 and out.connections == 1
        assert out.seen[0].startswith(b"GET / HTTP/1.1\r\n")
