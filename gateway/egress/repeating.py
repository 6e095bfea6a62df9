"""Repeating: a head that is equal to one of before is decided as that was, while nothing that the
decision rests on has changed. Actors mostly repeat themselves, and deciding costs more than all
else that a request needs."""

from collections import OrderedDict
from typing import TYPE_CHECKING

from gateway.egress.metering.meters import is_budgeted

if TYPE_CHECKING:
    from gateway.egress.connecting import Opening
    from gateway.egress.parts import Parts
    from gateway.egress.plan import Plan
    from gateway.egress.policies import Policy
    from gateway.egress.seams import Caller
    from gateway.ingress.codec.request import RequestHead

Known = tuple[bytes, "RequestHead", "Plan", "Policy"]
"""A head as it came, and what it was found to mean."""
_LONGEST_KEPT = 4096
"""Of a head that is remembered for other connections."""
_MOST_PLANS = 1024


class Plans:
    """What actors asked lately, by copy, host and head. Whoever takes one out checks that nothing
    it rests on has changed."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str, int, bytes], Known] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Plans {len(self._kept)}>"

    def of(self, caller: "Caller", opening: "Opening", data: bytes) -> "Known | None":
        """What another connection of this actor to this host began with: clients that open one for
        each request ask the same things."""
        end = data.find(b"\r\n\r\n") + 4
        if not 4 <= end <= _LONGEST_KEPT:
            return None
        return self._kept.get((caller.key, opening.host, opening.port, data[:end]))

    def keep(self, caller: "Caller", opening: "Opening", known: "Known") -> None:
        raw, _head, _plan, policy = known
        if len(raw) > _LONGEST_KEPT or policy.sees_source:
            return
        key = (caller.key, opening.host, opening.port, raw)
        self._kept[key] = known
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST_PLANS:
            self._kept.popitem(last=False)

    def forget(self, caller: str) -> None:
        for key in [key for key in self._kept if key[0] == caller]:
            del self._kept[key]


def is_fresh(parts: "Parts", caller: "Caller | None", plan: "Plan", policy: "Policy") -> bool:
    return (
        caller is not None
        and plan.version == parts.secrets.version
        and parts.policies.of(caller.actor.policy) is policy
        and caller.is_here()
    )


def may_repeat(plan: "Plan", policy: "Policy", head: "RequestHead") -> bool:
    """A decision that time, chance or a store has a part in is made anew for each request."""
    route = plan.forward.route
    return (
        plan.signs is None
        and not plan.forward.once
        and not plan.upgrade
        and len(route.backends) == 1
        and not route.backends[0].groups
        and not plan.forward.delay_s
        and not is_budgeted(policy.document, plan.forward.call)
        and head.size <= 16 * 1024
    )
