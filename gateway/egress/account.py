"""Account: what one exchange is counted and told as: its bytes, what its LLM call used and cost,
and its line in the access log, once, at its end."""

from decimal import Decimal
from typing import TYPE_CHECKING

from gateway.egress import telling
from gateway.egress.ask import fields_of
from gateway.egress.audit import Line, now_text
from gateway.egress.metering.tap import Tap
from gateway.egress.metering.usage import Call, Usage

if TYPE_CHECKING:
    from gateway.egress.parts import Parts
    from gateway.egress.plan import Plan
    from gateway.egress.policies import Policy
    from gateway.ingress.codec.response import AnswerHead

_NOTHING = Usage()


class Account:
    __slots__ = (
        "_parts",
        "_plan",
        "_policy",
        "began",
        "bytes_in",
        "bytes_out",
        "call",
        "tap",
    )

    def __init__(self, parts: "Parts", policy: "Policy", plan: "Plan") -> None:
        self._parts = parts
        self._policy = policy
        self._plan = plan
        self.began = parts.loop_time()
        self.bytes_out = self.bytes_in = 0
        self.call: Call | None = plan.forward.call
        """None: this is no call of an LLM that we know."""
        self.tap: Tap | None = None
        """Is fed the answer, where its use is to be found in it."""

    def __repr__(self) -> str:
        return f"<Account {self.bytes_out} out, {self.bytes_in} in>"

    def use(self, plan: "Plan") -> None:
        """It is tried once more, perhaps with another provider."""
        self._plan = plan
        self.call = plan.forward.call

    def listen(self, head: "AnswerHead") -> None:
        """The answer of a call begins."""
        if self.call is None:
            return
        fields = dict(fields_of(head.block))
        self.tap = Tap(
            fields.get("content-type", ""),
            fields.get("content-encoding", ""),
            request_bytes=self.bytes_out,
        )

    def close(self, decision: str, status: int, reason: str) -> None:
        usage, cost = _NOTHING, None
        if self.tap is not None and self.call is not None:
            usage = self.tap.end()
            if usage.is_known:
                cost = self._policy.prices.cost(self.call.provider, usage)
                self._charge(self.call, usage, cost)
        self._tell(decision, status, reason, usage, cost)

    def _charge(self, call: Call, usage: Usage, cost: Decimal | None) -> None:
        parts, plan, document = self._parts, self._plan, self._policy.document
        parts.metering.count(call, usage, cost, removed=document.metrics.removed)
        plan.decider.charge(plan.forward, usage.total, parts.now)
        if document.budgets:
            charge = parts.metering.charge(document, plan.ask, usage, cost)
            parts.spawn(charge, "charge a budget")

    def _tell(
        self, decision: str, status: int, reason: str, usage: Usage, cost: Decimal | None
    ) -> None:
        ask, forward = self._plan.ask, self._plan.forward
        metering, document = self._parts.metering, self._policy.document
        metering.decisions[decision, ""] += 1
        ask.said["response"] = {"code": status}
        if self.call is not None:
            ask.said["llm"] = {
                "provider": self.call.provider,
                "responseModel": usage.model,
                "inputTokens": usage.input,
                "outputTokens": usage.output,
                "totalTokens": usage.total,
                "cost": float(cost or 0),
            }
        metering.label(document.metrics, decision, ask)
        line = Line(
            at=now_text(),
            actor=ask.actor.id,
            decision=decision,
            way=ask.way,
            method=ask.method,
            to=f"{ask.host}:{ask.port}",
            path=ask.path[:500],
            status=status,
            reason=reason[:500],
            route=forward.route.name,
            credentials=tuple(each.name for each in forward.credentials),
            ms=round((self._parts.loop_time() - self.began) * 1000, 1),
            bytes_out=self.bytes_out,
            bytes_in=self.bytes_in,
            model=usage.model,
            input_tokens=usage.input,
            output_tokens=usage.output,
            cost_usd=float(cost or 0),
        )
        telling.note(self._parts, self._policy, ask, line)
