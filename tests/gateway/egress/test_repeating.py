"""What is remembered holds only while all it rests on does."""

from pathlib import Path

from tests.gateway.egress.world import auth, intercept, origin, running


async def test_what_is_remembered_of_another_connection_is_of_this_actor_and_of_these_rules(
    tmp_path: Path,
) -> None:
    async with origin(tmp_path) as out, running(tmp_path, intercept(out.port, out.ca)) as world:

        async def status(token: str) -> int:
            talk = await world.connect("api.test:443", token)
            await talk.tls(world.client_tls(), "api.test")
            talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
            return (await talk.whole())[0]

        assert [await status(token) for token in ("t1", "t1", "t2", "t1")] == [200] * 4
        assert [line.actor for line in world.lines] == ["demo/c1"] * 2 + ["demo/c2", "demo/c1"]
        own = "authorization: {rules: ['actor.name == \"c2\"']}"
        world.document.write_text(intercept(out.port, out.ca, policies=own))
        assert await world.proxy.parts.policies.look()
        assert [await status(token) for token in ("t1", "t2", "t1")] == [403, 200, 403]


async def test_a_rule_about_the_connection_is_asked_for_each(tmp_path: Path) -> None:
    rule = 'authorization: {rules: [\'source.connectHeaders["x-pass"] == "yes"\']}'
    async with origin(tmp_path) as out:
        async with running(tmp_path, intercept(out.port, out.ca, policies=rule)) as world:
            statuses = []
            for word in ("yes", "no", "yes"):
                talk = await world.open()
                talk.say("CONNECT api.test:443 HTTP/1.1\r\nHost: api.test:443\r\n"
                         f"X-Pass: {word}\r\n{auth('t1')}\r\n")  # fmt: skip
                await talk.head()
                await talk.tls(world.client_tls(), "api.test")
                talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
                statuses.append((await talk.whole())[0])
            assert statuses == [200, 403, 200]


async def test_a_rate_limit_counts_repeated_requests(tmp_path: Path) -> None:
    limit = "localRateLimit: [{maxTokens: 2, tokensPerFill: 1, fillInterval: 1h, key: actor.id}]"
    async with origin(tmp_path) as out:
        async with running(tmp_path, intercept(out.port, out.ca, policies=limit)) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            statuses = []
            for _ in range(3):
                talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
                statuses.append((await talk.whole())[0])
            assert statuses == [200, 200, 429]
            talk.close()
