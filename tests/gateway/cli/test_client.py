"""The client finds the API, carries the key, and turns every break into one sentence."""

import asyncio
import socket
from pathlib import Path

import pytest
from aiohttp import web

from gateway.cli.client import Client, Target, find
from gateway.cli.failures import Failure
from gateway.control.api import make_app
from gateway.control.guard import Guard
from gateway.control.health import Health
from lifecycle.trust import Address
from tests.fake_worker import FakeFleet
from tests.gateway.control.serving import serving

KEY = "correct-horse-battery-staple"


def test_the_nearest_word_says_where_the_api_is(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    assert find(None, environ).url == "http://127.0.0.1:8081"
    left = tmp_path / ".local/state/rouse/admin.url"
    left.parent.mkdir(parents=True)
    left.write_text("http://127.0.0.1:4711\n")
    assert find(None, environ).port == 4711
    environ["ROUSE_ADMIN_URL"] = "unix:/run/rouse.sock"
    assert find(None, environ).socket_path == "/run/rouse.sock"
    assert find("https://rouse.example", environ) == Target(
        url="https://rouse.example", host="rouse.example", port=443, tls=True
    )


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8081", "ftp://x", "http://", "unix:relative", "http://h:port", "http://h/x"]
)
def test_what_is_no_url_is_wrong_usage(url: str) -> None:
    with pytest.raises(Failure, match="is no admin URL") as caught:
        Target.parse(url)
    assert caught.value.code == 2


async def test_the_key_is_sent_and_never_printed(fleet: FakeFleet) -> None:
    guard = Guard(address=Address(host="0.0.0.0", port=0), key=KEY)
    async with serving(fleet, guard=guard) as served:
        target = Target.parse(served.url)
        got = await asyncio.to_thread(Client(target, KEY).ask, "GET", "/v1/workers")
        assert got["items"][0]["id"] == "w1"
        for wrong in (None, KEY + "x"):
            with pytest.raises(Failure, match="ROUSE_ADMIN_KEY") as caught:
                await asyncio.to_thread(Client(target, wrong).ask, "GET", "/v1/workers")
            assert KEY not in str(caught.value)


async def test_a_unix_socket_will_do(fleet: FakeFleet, tmp_path: Path) -> None:
    path = str(tmp_path / "admin")
    app = make_app(
        fleet.actions,
        fleet.templates,
        fleet.namespaces,
        guard=Guard(address=Address(path=path)),
        health=Health(),
        metrics=lambda: b"",
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.UnixSite(runner, path).start()
    client = Client(Target.parse(f"unix:{path}"), None)
    try:
        got = await asyncio.to_thread(client.ask, "GET", "/v1/workers")
    finally:
        await runner.cleanup()
    assert got["items"][0]["id"] == "w1"


def test_nobody_there_says_how_to_start_one(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for url in (f"http://127.0.0.1:{port}", f"unix:{tmp_path}/none"):
        with pytest.raises(Failure, match="start one with `rouse up`"):
            Client(Target.parse(url), None).ask("GET", "/v1/workers")


def test_who_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        client = Client(Target.parse(f"http://127.0.0.1:{mute.getsockname()[1]}"), None)
        with pytest.raises(Failure, match=r"no answer within 0\.05 s"):
            client.ask("GET", "/v1/workers", patience_s=0.05)


async def test_what_is_no_rouse_is_said_so() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"/nonsense" in head:
            writer.write(b"SSH-2.0-OpenSSH\r\n")
        elif b"/html" in head:
            writer.write(b"HTTP/1.1 502 Bad\r\nContent-Length: 4\r\n\r\n<b/>")
        else:
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{"
            )
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        client = Client(Target.parse(f"http://127.0.0.1:{port}"), None)
        for path, message in (
            ("/nonsense", "broke off"),
            ("/html", "status 502"),
            ("/json", "does not answer like rouse"),
        ):
            with pytest.raises(Failure, match=message):
                await asyncio.to_thread(client.ask, "GET", path)
