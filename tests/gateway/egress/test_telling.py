"""What a document makes of its access log; that lines hold no secret is test_audit's."""

from pathlib import Path

from tests.gateway.egress.world import intercept, ok, origin, running

LOG = """
frontendPolicies:
  accessLog:
    filter: 'request.path != "/health"'
    add: {who: 'actor.name', broken: 'request.headers["none"]'}
    remove: [path]
"""


async def test_the_document_says_what_its_log_holds_and_denials_are_always_told(
    tmp_path: Path,
) -> None:
    async with origin(tmp_path, lambda _head, _body: ok()) as out:
        async with running(tmp_path, intercept(out.port, out.ca, more=LOG)) as world:
            talk = await world.connect("api.test:443")
            await talk.tls(world.client_tls(), "api.test")
            for path, status in (("/health", 200), ("/a", 200), ("/../health", 400)):
                talk.say(f"GET {path} HTTP/1.1\r\nHost: api.test\r\n\r\n")
                assert (await talk.whole())[0] == status
            assert [(line.decision, line.path) for line in world.lines] == [
                ("allow", ""),
                ("deny", "/../health"),
            ]
            assert world.lines[0].more == {"who": "c1"}
