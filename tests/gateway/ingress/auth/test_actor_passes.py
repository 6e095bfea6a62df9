"""Actor tokens at the edge: one actor, and only until they expire."""

from gateway.actor_tokens import ActorTokens, TokenKey
from gateway.ingress.auth.actor_passes import ActorPasses
from gateway.ingress.auth.identity import Kind
from placement.model import ActorId

TOKENS = ActorTokens([TokenKey(id="k1", secret=b"s" * 32)])


def test_a_token_opens_its_actor_until_it_expires() -> None:
    token = TOKENS.mint(ActorId("demo", "c1"), expires=1000).encode()
    identity = ActorPasses(TOKENS).verify(token, 999.9)
    assert identity is not None and (identity.kind, identity.until) == (Kind.ACTOR, 1000.0)
    assert identity.may_enter(ActorId("demo", "c1"))
    for other in (ActorId("demo", "c2"), ActorId("c1", "demo"), ActorId("demo", "c11")):
        assert not identity.may_enter(other)
    assert ActorPasses(TOKENS).verify(token, 1000.0) is None
