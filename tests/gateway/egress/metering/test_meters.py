"""Metering through the proxy: streams untouched, budgets before the call, bounded labels."""

import json
from pathlib import Path

from gateway.egress.metering.budgets import BudgetsAway, Ledger
from gateway.egress.metering.meters import Metering
from gateway.egress.metering.usage import Call, Operation, Usage
from tests.gateway.egress.documents import ask, document
from tests.gateway.egress.metering.test_tap import STREAM
from tests.gateway.egress.world import Talk, behind, intercept, origin, running, send

BUDGET = """
rouse:
  budgets: [{name: daily, limit: {unit: Tokens, amount: 10}, window: {rolling: 1h}}]
"""


class _Book(Ledger):
    """A ledger in memory; `away`: as when Redis is."""

    def __init__(self) -> None:
        self.spent_by: dict[str, float] = {}
        self.away = False

    async def spent(self, key: str, window_s: float) -> float:
        if self.away:
            raise BudgetsAway("ConnectionError")
        return self.spent_by.get(key, 0.0)

    async def add(self, key: str, window_s: float, amount: float) -> None:
        self.spent_by[key] = self.spent_by.get(key, 0.0) + amount


def _stream(_head: bytes, _body: bytes) -> bytes:
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(STREAM[at : at + 33]), STREAM[at : at + 33])
        for at in range(0, len(STREAM), 33)
    )
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        b"transfer-encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    )


async def _call(talk: Talk) -> tuple[int, bytes]:
    talk.say("POST /v1/chat/completions HTTP/1.1\r\nHost: api.test\r\nContent-Length: 2\r\n\r\n{}")
    head = await talk.head()
    if b"chunked" not in head:
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return int(head[9:12]), await talk.reader.readexactly(length)
    return int(head[9:12]), await talk.reader.readuntil(b"\r\n0\r\n\r\n")


async def test_a_stream_is_metered_untouched_and_the_budget_ends_the_next_call(
    tmp_path: Path,
) -> None:
    book = _Book()
    async with origin(tmp_path, _stream) as out:
        text = intercept(out.port, out.ca, more=BUDGET)
        async with running(tmp_path, text, ledger=book) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            expected = _stream(b"", b"").partition(b"\r\n\r\n")[2]
            assert await _call(talk) == (200, expected)
            assert (await _call(talk))[0] == 200
            assert book.spent_by == {"rouse:e:{demo/c1}:actor:daily": 14.0}
            status, body = await _call(talk)
            assert status == 429 and json.loads(body)["error"]["code"] == "budget_exceeded"
            assert len(out.seen) == 2
            line = world.lines[0]
            assert (line.model, line.input_tokens, line.output_tokens) == ("m", 3, 4)
            talk.close()


async def test_a_blocking_budget_that_can_not_be_read_blocks(tmp_path: Path) -> None:
    book = _Book()
    book.away = True
    async with origin(tmp_path, _stream) as out:
        async with running(
            tmp_path, intercept(out.port, out.ca, more=BUDGET), ledger=book
        ) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            assert (await _call(talk))[0] == 503 and not out.seen
            talk.close()


def test_models_are_bounded_and_no_actor_is_a_label() -> None:
    made = Metering()
    for number in range(500):
        call = Call(operation=Operation.CHAT, provider="openai")
        made.count(call, Usage(model=f"m{number}", input=1), None)
    tokens = next(iter(made.read()))
    assert tokens.name == "gen_ai_client_token_usage" and len(tokens.samples) == 201
    assert {name for sample in tokens.samples for name in sample.labels} == {
        "gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_response_model",
        "gen_ai_token_type"}  # fmt: skip


def test_labels_of_a_document_are_bounded() -> None:
    made = document(
        "config: {metrics: {remove: [gen_ai_client_token_usage], "
        "fields: {add: {path: request.path, none: jwt.sub}}}}"
    ).metrics
    metering = Metering()
    for number in range(1500):
        metering.label(made, "allow", ask("a.com", f"/{number}"))
    (family,) = [each for each in metering.read() if each.name == "rouse_egress_calls"]
    assert len(family.samples) == 1001 and sum(each.value for each in family.samples) == 1500
    assert {each.labels["none"] for each in family.samples} == {"", "other"}
    call = Call(operation=Operation.CHAT, provider="openai")
    metering.count(call, Usage(model="m", input=1), None, removed=made.removed)
    (tokens,) = [each for each in metering.read() if each.name == "gen_ai_client_token_usage"]
    assert not tokens.samples


async def test_a_limit_of_requests_holds_across_workers(tmp_path: Path) -> None:
    """Two proxies with one ledger, as two workers have one Redis."""
    book = _Book()
    more = """rouse: {budgets: [{name: calls, limit: {unit: Requests, amount: 3},
        window: {rolling: 60s}}]}"""
    async with origin(tmp_path, tls=False) as out:
        text = behind(out.port, "", more=more)
        async with (
            running(tmp_path, text, ledger=book) as one,
            running(tmp_path, text, ledger=book) as two,
        ):
            for world in (one, two, one):
                assert (await send(world, "GET", "/"))[0] == 200
            for world in (one, two):
                status, head, body = await send(world, "GET", "/")
                assert status == 429 and body.startswith(b"rate limit exceeded\n")
                assert b"retry-after: 1\r\n" in head
            assert len(out.seen) == 3
            book.away = True
            assert (await send(two, "GET", "/"))[0] == 503
