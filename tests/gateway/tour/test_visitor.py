"""What the tour sends and how it reads what comes back."""

import aiohttp
import pytest

from gateway.tour.visitor import Answer, Mismatch, Visitor, Wake
from tests.fake_product import FakeProduct


def answer(status: int, body: bytes) -> Answer:
    return Answer(status=status, body=body, wake=None, took_ms=0.0)


def test_a80_rouse_wake_is_read_into_kind_and_phases() -> None:
    wake = Wake.parse("cold; total=41.2, queue=0.1, claim=1, fetch=2.5, restore=20, ready=17.6")
    assert wake.kind == "cold" and wake.phases["total"] == 41.2
    assert list(wake.phases) == ["total", "queue", "claim", "fetch", "restore", "ready"]


def test_a_field_that_cannot_be_read_is_shown() -> None:
    with pytest.raises(Mismatch, match="'cold; total=soon'"):
        Wake.parse("cold; total=soon")


def test_an_error_of_the_contract_is_told_in_its_own_words() -> None:
    body = b'{"error":{"code":503,"reason":"no-capacity","message":"all slots are taken"}}'
    with pytest.raises(Mismatch, match="got 503: no-capacity: all slots are taken"):
        answer(503, body).expect(200)


@pytest.mark.parametrize("body", [b"plain words", b'{"error":"words"}', b"[]"])
def test_any_other_error_is_shown_as_it_came(body: bytes) -> None:
    with pytest.raises(Mismatch) as caught:
        answer(500, body).expect(200, 404)
    assert str(caught.value) == f"expected status 200 or 404, got 500: {body.decode()}"


async def test_the_actor_is_named_by_host_and_the_edge_by_address() -> None:
    async with FakeProduct().serving() as product, aiohttp.ClientSession() as session:
        visitor = Visitor(session, edge_url=product.edge_url + "/", admin_url=product.admin_url)
        got = (await visitor.visit("c7", "demo")).expect(200)
        port = product.edge_url.rpartition(":")[2]
        assert got.json()["actor"] == "demo/c7"
        assert got.wake is not None and got.wake.kind == "cold" and got.took_ms > 0
        assert visitor.url_of("c7", "demo") == f"http://c7.demo.actors.localhost:{port}/"


async def test_an_edge_that_is_away_is_named() -> None:
    async with aiohttp.ClientSession() as session:
        visitor = Visitor(session, edge_url="http://127.0.0.1:1", admin_url="http://127.0.0.1:1")
        with pytest.raises(Mismatch, match=r"^GET http://127\.0\.0\.1:1/: "):
            await visitor.visit("c1", "demo")
