"""Nobody without the key from outside, and no foreign web page from inside."""

import asyncio
import socket

import pytest

from gateway.control.guard import Guard
from lifecycle.trust import Address, Exposed
from tests.fake_worker import FakeFleet
from tests.gateway.control.serving import LOOPBACK, Admin, serving

KEY = "correct-horse-battery-staple"
OPEN = Address(host="0.0.0.0", port=0)


def test_an_open_address_without_a_key_is_not_even_made() -> None:
    with pytest.raises(Exposed, match="can be reached by others"):
        Guard(address=OPEN)
    assert KEY not in repr(Guard(address=OPEN, key=KEY))


async def test_where_there_is_a_key_it_is_wanted(fleet: FakeFleet) -> None:
    async with serving(fleet, guard=Guard(address=OPEN, key=KEY)) as admin:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {KEY}"}):
            async with admin.session.get(admin.url + "/v1/workers", headers=headers) as answer:
                assert answer.status == 401
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
                assert KEY not in await answer.text()
        await admin.fault("GET", "/metrics", status=401)
        await admin.ask("GET", "/v1/workers", headers={"Authorization": f"Bearer {KEY}"})


async def test_probes_need_no_key(fleet: FakeFleet) -> None:
    async with serving(fleet, guard=Guard(address=OPEN, key=KEY)) as admin:
        assert await admin.ask("GET", "/healthz", headers={"Host": "10.1.2.3"}) == "ok\n"
        assert await admin.ask("GET", "/readyz") == "ok\n"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8081", "127.0.0.1.evil.example", "10.0.0.1", ""]
)
async def test_a_name_that_was_rebound_to_us_is_refused(admin: Admin, host: str) -> None:
    error = await admin.fault("GET", "/v1/workers", status=403, headers={"Host": host})
    assert error["reason"] == "foreign-host"


@pytest.mark.parametrize("host", ["localhost:8081", "127.0.0.1", "[::1]:8081", "LOCALHOST"])
async def test_names_of_this_machine_are_taken(admin: Admin, host: str) -> None:
    await admin.ask("GET", "/v1/workers", headers={"Host": host})


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://c1.demo.actors.localhost:8080"},
        {"Host": "localhost:1", "Origin": "http://localhost:2"},
    ],
)
async def test_a_page_of_another_site_is_refused(admin: Admin, headers: dict[str, str]) -> None:
    for method in ("GET", "POST"):
        error = await admin.fault(method, "/v1/templates", status=403, headers=headers)
        assert error["reason"] == "cross-site"


async def test_our_own_page_is_taken(admin: Admin) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": admin.url}
    await admin.ask("GET", "/v1/workers", headers=headers)
    await admin.ask("GET", "/", headers={"Sec-Fetch-Site": "none"})


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_a_write_that_a_form_could_send_is_refused(admin: Admin, kind: str) -> None:
    headers = {"Content-Type": kind}
    path = admin.url + "/v1/workers/w1/drain"
    async with admin.session.post(path, data=b"{}", headers=headers) as answer:
        assert answer.status == 415
    assert not admin.fleet.workers["w1"].drained


async def test_a_write_without_a_type_is_refused(admin: Admin) -> None:
    """As fetch sends it in no-cors mode without a body; aiohttp's client would add a type."""
    port = int(admin.url.rpartition(":")[2])

    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /v1/workers/w1/drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n"
        b"Connection: close\r\n\r\n"
    )
    assert (await reader.read()).startswith(b"HTTP/1.1 415 ")
    writer.close()
    await writer.wait_closed()


def test_loopback_needs_no_key() -> None:
    assert Guard(address=LOOPBACK).key is None
    assert socket.inet_aton(LOOPBACK.host)
    assert Guard(address=Address(path="/run/rouse/admin")).key is None
