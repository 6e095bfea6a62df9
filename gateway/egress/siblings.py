"""Calls from one actor to another: through the gateway as every request, so that they wake who is
asked, with the caller's identity in a field that nobody else can make. No I/O.

The field is a JWT, signed with Ed25519 for one callee and a minute; actors check it with the public
key that they are shown. Whoever sends such a field from outside has no signature.
"""

import contextlib
import time
from collections.abc import Callable

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.egress import deciding, forwarding, gate, heads
from gateway.egress.ask import Ask
from gateway.egress.config.model import Backend, Route, Rules
from gateway.egress.refusals import Refusal, Refused
from placement.model import ActorId, InvalidName

FIELD = "x-rouse-caller"
INSIDE = "actors.internal"
"""Works in every actor; a base domain under `localhost` does not pass clients' NO_PROXY."""
_LIVES_S = 60
MOST_OPEN = 64
"""Calls to other actors that one may have open at once: actors that call each other in a circle
come to an end here."""
MOST_HOPS = 16
"""Of a request that is handed on with its fields, as proxies do: a circle that waits for nothing
comes to an end here."""


class Siblings:
    def __init__(
        self,
        base_domains: tuple[str, ...],
        seed: bytes,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._outside = base_domains[0]
        self._bases = tuple(f".{each}" for each in (INSIDE, *base_domains))
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._clock = clock
        self.gateway: tuple[str, int] | None = None
        """Where the gateway takes plain HTTP; None: not known (yet)."""

    def __repr__(self) -> str:
        return f"<Siblings by {self.gateway}>"

    @property
    def public_pem(self) -> bytes:
        return self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def is_one(self, host: str) -> bool:
        return host.endswith(self._bases)

    def forward(
        self, ask: Ask, rules: Rules | None, named: frozenset[bytes], open_calls: int
    ) -> forwarding.Forward:
        """Raises Refusal."""
        actor, label = self._actor(ask.host)
        if ask.scheme != "http":
            raise Refusal(Refused.FORBIDDEN, "actors are called by http://: it is one machine room")
        if rules is not None:
            gate.check(rules, ask)
        elif actor.namespace != ask.actor.namespace:
            raise Refusal(
                Refused.FORBIDDEN,
                f"{actor} is of another namespace; rouse.actors.rules may allow it",
            )
        if self.gateway is None:
            raise Refusal(Refused.STOPPING, "this worker knows no gateway (egress.gateway)")
        if open_calls >= MOST_OPEN:
            raise Refusal(Refused.RATE, f"{open_calls} calls are open: do actors call in a circle?")
        deciding.check_path(ask.target)
        fields = heads.set_field(heads.kept(ask.fields, named), FIELD, self._said(ask, actor))
        host, port = self.gateway
        return forwarding.Forward(
            route=ROUTE,
            backend=Backend(host=host, port=port),
            tls=False,
            host=host,
            port=port,
            is_named=True,
            authority=f"{label}.{actor.namespace}.{self._outside}",
            method=ask.method,
            target=ask.target,
            fields=fields,
            credentials=(),
            reach=host,
            once=True,
        )

    def _actor(self, host: str) -> tuple[ActorId, str]:
        """Who is meant, and the first label, which may name a port too (`debug--c1`)."""
        base = next(each for each in self._bases if host.endswith(each))
        label, _dot, namespace = host.removesuffix(base).partition(".")
        try:
            return ActorId.of(namespace, label.rpartition("--")[2]), label
        except InvalidName as error:
            raise Refusal(Refused.INVALID, f"{host[:80]} names no actor") from error

    def _said(self, ask: Ask, callee: ActorId) -> str:
        """Raises Refusal."""
        hops = self._hops(ask) + 1
        if hops > MOST_HOPS:
            raise Refusal(Refused.RATE, f"handed on {hops} times: do actors call in a circle?")
        claims = {
            "iss": "rouse",
            "sub": ask.actor.id,
            "uid": ask.actor.uid,
            "aud": str(callee),
            "exp": int(self._clock()) + _LIVES_S,
            "hops": hops,
        }
        return jwt.encode(claims, self._key, algorithm="EdDSA")

    def _hops(self, ask: Ask) -> int:
        """How often the request that it hands on was handed on, as we said to this very actor."""
        most = 0
        for name, value in ask.fields:
            if name != FIELD:
                continue
            with contextlib.suppress(jwt.InvalidTokenError):
                claims = jwt.decode(
                    value,
                    self._key.public_key(),
                    algorithms=["EdDSA"],
                    audience=ask.actor.id,
                    options={"verify_exp": False},  # a circle may be slow
                )
                most = max(most, claims["hops"] if isinstance(claims.get("hops"), int) else 0)
        return most


ROUTE = Route(name="actor-to-actor")
