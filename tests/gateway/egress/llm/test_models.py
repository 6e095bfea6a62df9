"""`llm`, end to end: the model in the body chooses who is asked, with which key, in which words."""

import json
from pathlib import Path

import pytest

from tests.gateway.egress.world import World, auth, ok, origin, running, send

ANSWER = json.dumps({"model": "m", "usage": {"prompt_tokens": 3, "completion_tokens": 4}}).encode()


def _document(port: int, more: str = "") -> str:
    return f"""
llm:
  providers:
  - name: shared
    provider: {{custom: {{formats: [{{type: completions}}]}}}}
    params: {{baseUrl: "http://127.0.0.1:{port}/shared/v1", apiKey: key-shared}}
    defaults: {{defaults: {{temperature: 0.5}}}}
  models:
  - name: smart
    provider: openAI
    params: {{model: gpt-real, apiKey: key-a, baseUrl: "http://127.0.0.1:{port}/v1"}}
  - name: "team/*"
    provider: {{reference: shared}}
    transformation: {{model: 'llmRequest.model.stripPrefix("team/")'}}
    matches: [{{headers: [{{name: x-org, value: {{exact: eng}}}}]}}]
  - name: claude
    provider: anthropic
    params: {{apiKey: key-c, baseUrl: "http://127.0.0.1:{port}"}}
    authorization: {{rules: ['actor.name == "nobody"']}}
  {more}
"""


async def _ask(
    world: World, body: object, *fields: str, path: str = "/v1/chat/completions"
) -> tuple[int, dict[str, object]]:
    status, _head, text = await send(world, "POST", path, *fields, body=json.dumps(body).encode())
    return status, json.loads(text)


async def test_the_model_chooses_the_provider_its_key_and_the_real_model(tmp_path: Path) -> None:
    async with origin(tmp_path, lambda _h, _b: ok(ANSWER), tls=False) as out:
        async with running(tmp_path, _document(out.port)) as world:
            fields = ("Authorization: Bearer mine",)
            status, _ = await _ask(world, {"model": "smart", "messages": []}, *fields)
            assert status == 200 and out.seen[-1].startswith(b"POST /v1/chat/completions ")
            assert out.header("authorization") == "Bearer key-a"
            assert json.loads(out.bodies[-1]) == {"model": "gpt-real", "messages": []}
            status, _ = await _ask(world, {"model": "team/x", "messages": []}, "X-Org: eng")
            assert status == 200 and out.seen[-1].startswith(b"POST /shared/v1/chat/completions ")
            assert out.header("authorization") == "Bearer key-shared"
            assert json.loads(out.bodies[-1])["model"] == "x"
            assert json.loads(out.bodies[-1])["temperature"] == 0.5
            assert world.lines[-1].input_tokens == 3 and world.lines[-1].output_tokens == 4


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model": "nope"}, 404, "model_not_found"),
        ({"model": "team/x"}, 404, "model_not_found"),
        ({"model": "claude"}, 403, "model_authorization_denied"),
        ({"messages": []}, 400, "missing_model"),
        ([], 400, "invalid_request_body"),
    ],
)
async def test_refusals_are_what_sdks_read(
    tmp_path: Path, body: object, status: int, code: str
) -> None:
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, _document(out.port)) as world:
            got, answer = await _ask(world, body)
            error = answer["error"]
            assert isinstance(error, dict)
            assert (got, error["code"], error["type"]) == (status, code, "invalid_request_error")
            assert not out.seen


async def test_an_api_key_opens_the_models_it_is_for(tmp_path: Path) -> None:
    more = """policies: {apiKey: {mode: strict, keys:
    [{key: k1, allowedModels: [smart]}, {key: k2, allowedModels: []}]}}"""
    async with origin(tmp_path, lambda _h, _b: ok(ANSWER), tls=False) as out:
        text = _document(out.port).rstrip() + "\n  " + more + "\n"
        async with running(tmp_path, text) as world:
            assert (await _ask(world, {"model": "smart"}, "Authorization: Bearer k1"))[0] == 200
            for key, model in (("k1", "team/x"), ("k2", "smart")):
                status, answer = await _ask(
                    world, {"model": model}, f"Authorization: Bearer {key}", "X-Org: eng"
                )
                assert status == 403 and answer == {
                    "error": {
                        "message": "Model is not allowed for this API key",
                        "type": "invalid_request_error",
                        "code": "model_not_allowed",
                    }
                }
            # A body that says its model twice is read once, and sent as it was read.
            twice = b'{"model": "nope", "model": "smart"}'
            fields = ("Authorization: Bearer k1",)
            status, _head, _b = await send(
                world, "POST", "/v1/chat/completions", *fields, body=twice
            )
            assert status == 200 and out.bodies[-1] == b'{"model":"gpt-real"}'


async def test_the_list_has_what_the_caller_may_ask_for(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, _document(out.port)) as world:
            status, _head, body = await send(world, "GET", "/v1/models")
            names = [each["id"] for each in json.loads(body)["data"]]
            assert status == 200 and names == ["smart", "team/*"] and not out.seen


async def test_what_a_provider_does_not_speak_is_refused(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, _document(out.port)) as world:
            status, _head, body = await send(
                world, "POST", "/v1/messages", body=b'{"model": "smart"}'
            )
            assert status == 503 and body.startswith(
                b"processing failed\nopenai speaks no messages"
            )


async def test_a_stream_is_asked_to_tell_its_usage(tmp_path: Path) -> None:
    async with origin(tmp_path, lambda _h, _b: ok(ANSWER), tls=False) as out:
        async with running(tmp_path, _document(out.port)) as world:
            await _ask(world, {"model": "smart", "stream": True})
            assert json.loads(out.bodies[-1])["stream_options"] == {"include_usage": True}
            own = {"model": "smart", "stream": True, "stream_options": {"include_usage": False}}
            await _ask(world, own)
            assert json.loads(out.bodies[-1])["stream_options"] == {"include_usage": False}


async def test_a_body_past_all_bounds_is_refused(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, _document(out.port)) as world:
            talk = await world.open()
            talk.say(
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: egress.internal\r\n{auth('t1')}"
                "Content-Length: 99999999\r\n\r\n"
            )
            talk.say(b"x" * (9 * 2**20))
            status, _head, body = await talk.whole()
            assert status == 413 and b"request_body_too_large" in body
            talk.close()
