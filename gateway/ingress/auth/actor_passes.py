"""Actor tokens at the edge: what a genuine one of ours lets its bearer do."""

from gateway.actor_tokens import ActorTokens
from gateway.ingress.auth.identity import Identity, Kind


class ActorPasses:
    def __init__(self, tokens: ActorTokens) -> None:
        self._tokens = tokens

    def __repr__(self) -> str:
        return f"<ActorPasses {self._tokens!r}>"

    def verify(self, credential: bytes, now: float) -> Identity | None:
        found = self._tokens.read(credential)
        if found is None or found.expires <= now:
            return None
        scopes = frozenset((str(found.actor),))
        return Identity(kind=Kind.ACTOR, scopes=scopes, until=float(found.expires))
