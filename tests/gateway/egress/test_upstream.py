"""Connections to the outside: verified always, kept for one actor, never used past their time."""

import asyncio
import ssl
from pathlib import Path

import pytest
import trustme

from gateway.egress.config.model import BackendTls
from gateway.egress.refusals import Refusal
from gateway.egress.upstream import Contexts, Upstream, Upstreams, client_context
from tests.gateway.egress.world import Origin, intercept, origin, running


async def _open(upstreams: Upstreams, port: int, key: object = ("a", 1)) -> Upstream:
    return await upstreams.connect(key, ["127.0.0.1"], port, None, "h")


async def test_the_one_used_last_is_taken_and_an_old_one_is_not(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        upstreams = Upstreams()
        one, two = await _open(upstreams, out.port), await _open(upstreams, out.port)
        upstreams.give_back(one, 10.0)
        upstreams.give_back(two, 20.0)
        assert upstreams.take(("b", 1), idle_since=0) is None
        assert upstreams.take(("a", 1), idle_since=15) is two
        assert upstreams.take(("a", 1), idle_since=15) is None
        assert "0 idle" in repr(upstreams)
        upstreams.close()


async def test_a_copy_that_is_gone_leaves_none(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        upstreams = Upstreams()
        upstreams.give_back(await _open(upstreams, out.port), 1.0)
        upstreams.close_of("a")
        assert upstreams.take(("a", 1), idle_since=0) is None
        upstreams.close()


async def test_an_answer_that_nobody_asked_for_ends_the_connection(tmp_path: Path) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        assert await reader.read() == b""
        gone.set()
        writer.close()

    gone = asyncio.Event()
    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server, asyncio.timeout(10):
        upstreams = Upstreams()
        one = await _open(upstreams, server.sockets[0].getsockname()[1])
        one.write(b"x")
        upstreams.give_back(one, 1.0)
        await gone.wait()


@pytest.mark.parametrize("wrong", ["hostname: other.test", "hostname: 127.0.0.2"])
async def test_another_name_is_not_believed(tmp_path: Path, wrong: str) -> None:
    async with origin(tmp_path) as out:
        text = intercept(out.port, out.ca).replace("hostname: api.test", wrong)
        await _is_refused(tmp_path, text, out)


@pytest.mark.parametrize(
    ("name", "is_good"), [("a.wild.test", True), ("a.b.wild.test", False), ("wild.test", False)]
)
async def test_a_wildcard_is_believed_for_one_label(
    tmp_path: Path, name: str, is_good: bool
) -> None:
    async with origin(tmp_path) as out:
        text = intercept(out.port, out.ca).replace("hostname: api.test", f"hostname: {name}")
        if not is_good:
            await _is_refused(tmp_path, text, out)
            return
        async with running(tmp_path, text) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            assert (await talk.whole())[0] == 200


async def test_another_ca_is_not_believed(tmp_path: Path) -> None:
    async with origin(tmp_path) as out:
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        await _is_refused(tmp_path, intercept(out.port, tmp_path / "other.pem"), out)


async def _is_refused(tmp_path: Path, text: str, out: Origin) -> None:
    async with running(tmp_path, text) as world:
        talk = await world.connect("api.test:443")
        await talk.tls(world.client_tls(), "api.test")
        talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
        status, _head, body = await talk.whole()
        assert status == 503 and b"upstream call failed" in body and b"certificate" in body
        assert not out.seen
        talk.close()


async def test_nobody_there_is_told() -> None:
    with pytest.raises(Refusal, match="upstream call failed"):
        await _open(Upstreams(), 1)


def test_every_context_verifies() -> None:
    context = client_context(BackendTls())
    assert context.verify_mode is ssl.CERT_REQUIRED and context.check_hostname


def test_a_context_is_made_before_it_is_needed() -> None:
    contexts = Contexts()
    contexts.add_system()
    assert contexts.of(BackendTls()) is contexts.system


@pytest.mark.parametrize(("is_shown", "status"), [(True, 200), (False, 503)])
async def test_we_show_a_certificate_where_one_is_wanted(
    tmp_path: Path, is_shown: bool, status: int
) -> None:
    theirs = trustme.CA()
    leaf = theirs.issue_cert("rouse.test")
    leaf.private_key_pem.write_to_path(str(tmp_path / "key"))
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "cert"))
    async with origin(tmp_path, clients=theirs) as out:
        mine = f"cert: {tmp_path}/cert, key: {tmp_path}/key, " if is_shown else ""
        text = intercept(out.port, out.ca).replace("backendTLS: {", f"backendTLS: {{{mine}")
        async with running(tmp_path, text) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            assert (await talk.whole())[0] == status
            talk.close()
