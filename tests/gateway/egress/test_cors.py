"""CORS as agentgateway has it: who is answered here, and what answers of others get."""

from pathlib import Path

import pytest

from gateway.egress import cors
from gateway.egress.config.gate_model import Cors
from tests.gateway.egress.documents import ask
from tests.gateway.egress.world import behind, ok, origin, running, send

RULES = """cors: {allowOrigins: ["https://a.test", "https://*.b.test"], allowMethods: [GET, PUT],
    allowHeaders: ["*"], exposeHeaders: [x-one], allowCredentials: true, maxAge: 100s}"""


async def test_a_preflight_is_answered_here(tmp_path: Path) -> None:
    async with origin(tmp_path, tls=False) as out:
        async with running(tmp_path, behind(out.port, RULES)) as world:
            asked = (
                "Access-Control-Request-Method: PUT",
                "Access-Control-Request-Headers: x-a,x-b",
            )
            status, head, body = await send(world, "OPTIONS", "/", "Origin: https://a.test", *asked)
            text = head.decode().lower()
            assert (status, body) == (200, b"") and not out.seen
            assert "access-control-allow-origin: https://a.test\r\n" in text
            assert "access-control-allow-methods: get,put\r\n" in text
            assert "access-control-allow-headers: x-a, x-b\r\n" in text
            assert "access-control-allow-credentials: true\r\n" in text
            assert "access-control-max-age: 100\r\n" in text
            status, head, _ = await send(world, "OPTIONS", "/", "Origin: https://evil.test", *asked)
            assert status == 200 and b"access-control" not in head.lower() and not out.seen


async def test_other_answers_get_the_fields_where_the_origin_is_allowed(tmp_path: Path) -> None:
    theirs = "access-control-allow-origin: *\r\n"
    async with origin(tmp_path, lambda _h, _b: ok(b"ok", theirs), tls=False) as out:
        async with running(tmp_path, behind(out.port, RULES)) as world:
            _s, head, _b = await send(world, "GET", "/", "Origin: https://x.b.test")
            assert b"access-control-allow-origin: https://x.b.test\r\n" in head
            assert b"access-control-expose-headers: x-one\r\n" in head
            _s, head, _b = await send(world, "GET", "/", "Origin: https://evil.test")
            assert b"access-control-allow-origin: *\r\n" in head  # the server's own word
            assert b"expose" not in head and len(out.seen) == 2


@pytest.mark.parametrize(
    ("allowed", "given", "is_so"),
    [
        ("https://a.test", "HTTPS://A.test", True),
        ("https://a.test", "https://a.test:443", True),
        ("https://a.test", "http://a.test", False),
        ("https://a.test", "https://a.test.evil", False),
        ("https://*.a.test", "https://a.test", False),
        ("https://*.a.test", "https://x.y.a.test", True),
        ("https://*.a.test", "https://evil/.a.test", False),
        ("https://*.a.test", "https://evil:1.a.test", False),
        ("*", "null", True),
    ],
)
def test_origins(allowed: str, given: str, is_so: bool) -> None:
    found = cors.added(Cors(origins=(allowed,)), ask(fields=[("origin", given)]))
    assert bool(found) is is_so
