"""The gatekeeper: lets a request in or not, before its actor is looked up or woken (A29, A71).

What it answers depends on the credential and the actor's name alone, so nobody learns from it
whether an actor exists. A request let in goes on without its credential.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.ingress.auth.carriers import Carriers, Found
from gateway.ingress.auth.identity import Identity, KeysAway, Kind, Verifier
from gateway.ingress.codec.request import RequestFields, RequestHead
from gateway.ingress.naming import Place
from gateway.ingress.seams import Reason, Refusal
from placement.model import ActorId

_MOST_KNOWN = 4096
_UNSETTLED_S = 5.0
"""How long a block is taken as it was judged whose credentials were not all genuine: one of them
may be the actor's own, or begin to be ours (`nbf`)."""
_LARGEST_KNOWN = 8192
"""Bytes of a block that is kept: with the bound above it is 32 MiB at worst."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Kinds of credentials that a namespace accepts; of no kinds: it is open to everybody."""

    default: frozenset[Kind] = frozenset()
    namespaces: Mapping[str, frozenset[Kind]]

    def accepted(self, namespace: str) -> frozenset[Kind]:
        return self.namespaces.get(namespace, self.default)


@dataclass(slots=True, kw_only=True)
class _Known:
    """A block of fields that was judged: whose it is, and what of it goes on."""

    identities: tuple[Identity, ...]
    fields: RequestFields
    until: float
    """Unix time at which the first of them ends."""
    entered: Place | None = None
    """Where it was let in last; a client mostly goes there again."""
    may_change: bool = False
    """Nothing in it is genuine, but may become it: it is judged anew each time."""


class Gatekeeper:
    def __init__(
        self,
        *,
        policy: Policy,
        carriers: Carriers,
        verifiers: tuple[Verifier, ...],
        passes_on: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._policy = policy
        self._carriers = carriers
        self._verifiers = verifiers
        self._passes_on = passes_on
        """The actor gets the credential too."""
        self._clock = clock
        self._genuine: dict[bytes, Identity] = {}
        self._blocks: dict[bytes, _Known] = {}

    def __repr__(self) -> str:
        return f"<Gatekeeper {self._verifiers!r}, {len(self._genuine)} credentials known>"

    def forget(self) -> None:
        """Keys or tokens have changed: judge everybody anew."""
        self._genuine.clear()
        self._blocks.clear()

    def admit(self, head: RequestHead, place: Place) -> tuple[RequestHead, Place]:
        """The request as it goes on. Raises Refusal, of which nothing depends on the actor."""
        now = self._clock()
        target = place.target or head.target
        if self._carriers.is_in_target(target):
            known = self._judge(head.fields, target, now)
            head, place = self._without_query(head, place, target)
        else:
            # Warm: a client mostly sends the same block again.
            block = head.fields.block
            seen = self._blocks.get(block)
            if seen is None or seen.until <= now:
                seen = self._judge(head.fields, target, now)
                self._remember(block, seen)
            known = seen
        if known.entered is not place:
            self._check(known.identities, place.demand.actor)
            known.entered = place
        if known.fields is not head.fields:
            head = RequestHead(head.method, head.target, head.minor, known.fields, head.size)
        return head, place

    def _check(self, identities: tuple[Identity, ...], actor: ActorId) -> None:
        accepted = self._policy.accepted(actor.namespace)
        if not accepted:
            return
        # The refusals name no actor: one for an unknown actor is that for a forbidden one.
        if not identities:
            raise Refusal(Reason.UNAUTHENTICATED, "a valid credential is needed here")
        if not any(each.kind in accepted and each.may_enter(actor) for each in identities):
            raise Refusal(Reason.FORBIDDEN, "this credential does not open what was asked for")

    def _judge(self, fields: RequestFields, target: bytes, now: float) -> _Known:
        found = self._carriers.find(fields.block, target)
        identities, is_in_field = self._identify(found, now)
        if not self._passes_on:
            # Cookie and parameter are ours by their names; a field only if what it holds is.
            block = self._carriers.cut_block(fields.block, with_field=is_in_field)
            if block != fields.block:
                fields = replace(fields, block=block)
        given = bool(found.header) + len(found.cookies) + bool(found.query)
        is_open = len(identities) < given
        soon = now + _UNSETTLED_S if is_open else math.inf
        return _Known(
            identities=identities,
            fields=fields,
            until=min((soon, *(each.until for each in identities))),
            may_change=is_open and not identities,
        )

    def _identify(self, found: Found, now: float) -> tuple[tuple[Identity, ...], bool]:
        """All that are genuine, even of a kind that is not accepted where they were sent: a
        credential for elsewhere must not reach this actor. And whether the field's is one."""
        in_field = self._verified(found.header, now)
        others = (self._verified(each, now) for each in (*found.cookies, found.query))
        genuine = tuple(each for each in (in_field, *others) if each is not None)
        return genuine, in_field is not None

    def _verified(self, credential: bytes, now: float) -> Identity | None:
        if not credential:
            return None
        identity = self._genuine.get(credential)
        if identity is not None and identity.until > now:
            return identity
        away = False
        for verifier in self._verifiers:
            try:
                identity = verifier.verify(credential, now)
            except KeysAway:
                away = True
                continue
            if identity is not None:
                if len(self._genuine) >= _MOST_KNOWN:
                    self._genuine.clear()
                self._genuine[credential] = identity
                return identity
        if away:
            raise Refusal(
                Reason.UNAVAILABLE,
                "the keys that credentials are checked with are being fetched",
                retry_after_s=2.0,
            )
        return None

    def _remember(self, block: bytes, known: _Known) -> None:
        if not known.may_change and len(block) <= _LARGEST_KNOWN:
            if len(self._blocks) >= _MOST_KNOWN:
                self._blocks.clear()
            self._blocks[block] = known

    def _without_query(
        self, head: RequestHead, place: Place, target: bytes
    ) -> tuple[RequestHead, Place]:
        if self._passes_on:
            return head, place
        cut = self._carriers.cut_target(target)
        if place.target is not None:
            return head, replace(place, target=cut)
        return RequestHead(head.method, cut, head.minor, head.fields, head.size), place
