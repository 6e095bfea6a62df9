"""Every error has a status and a reason; what is no error of the client's says nothing of ours."""

import inspect

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.control.faults import ROWS, answer_faults
from lifecycle import errors
from tests.gateway.control.serving import Admin


def test_every_error_of_the_lifecycle_has_a_row() -> None:
    kinds = [kind for _name, kind in inspect.getmembers(errors, inspect.isclass)]
    known = {kind for kind in kinds if issubclass(kind, errors.LifecycleError)}
    assert known - set(ROWS) == {errors.LifecycleError}


def test_a82_what_may_be_repeated_is_what_says_when() -> None:
    for kind, (status, _reason) in ROWS.items():
        if issubclass(kind, errors.LifecycleError) and kind.retry_after_s is not None:
            assert status in (429, 503), kind


async def test_a78_the_body_has_all_fields_and_repeats_a_sane_request_id(admin: Admin) -> None:
    headers = {"X-Request-Id": "from-the-client.1"}
    error = await admin.fault("GET", "/v1/nothing", status=404, headers=headers)
    assert (error["reason"], error["request_id"]) == ("no-route", "from-the-client.1")
    headers = {"X-Request-Id": "no spaces <b>"}
    error = await admin.fault("GET", "/v1/nothing", status=404, headers=headers)
    assert "<" not in error["request_id"] and len(error["request_id"]) == 16


async def test_an_answer_does_not_say_what_we_are_made_of(admin: Admin) -> None:
    async with admin.session.get(admin.url + "/healthz") as answer:
        assert answer.headers["Server"] == "rouse"


async def test_a_wrong_method_says_which_are_right(admin: Admin) -> None:
    async with admin.session.delete(admin.url + "/v1/workers") as answer:
        assert answer.status == 405 and "GET" in answer.headers["Allow"]
        assert (await answer.json())["error"]["reason"] == "no-method"


async def test_a_body_that_is_too_large_or_no_json_is_refused(admin: Admin) -> None:
    headers = {"Content-Type": "application/json"}
    for body, status, reason in (
        (b"{" * 300_000, 413, "too-large"),
        (b"{" * 600_000, 413, "too-large"),
        (b"{", 400, "bad-document"),
    ):
        async with admin.session.post(
            admin.url + "/v1/templates", data=body, headers=headers
        ) as answer:
            assert answer.status == status
            assert (await answer.json())["error"]["reason"] == reason


async def test_an_error_of_ours_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(_request: web.Request) -> web.Response:
        raise RuntimeError("secret /path/inside")

    app = web.Application(middlewares=[answer_faults])
    app.router.add_get("/", broken)
    async with TestClient(TestServer(app)) as client:
        answer = await client.get("/")
        text = await answer.text()
    assert answer.status == 500 and "secret" not in text and "under this request id" in text
    assert "control request failed" in caplog.text
