"""Counts of what LLM calls used, and the budgets that they are charged to.

Metrics have OTel's GenAI names and bounded labels: no actor is in them. Who used what is in the
audit lines and in the ledger.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from prometheus_client.core import CounterMetricFamily, Metric

from gateway.egress.ask import Ask
from gateway.egress.cel import CelFailed
from gateway.egress.config.model import Budget, Document, Metrics
from gateway.egress.metering.budgets import BudgetsAway, Ledger, key_of
from gateway.egress.metering.usage import REQUESTS, Call, Usage
from gateway.egress.refusals import Refusal, Refused

log = logging.getLogger(__name__)

_MOST_MODELS = 200
_MOST_LABELLED = 1000
"""An actor must not make as many series as it likes."""
_Labels = tuple[str, str, str, str]


class Metering:
    """`ledger` None: budgets can't be kept, so those that block refuse."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self._ledger = ledger
        self._models: set[str] = set()
        self._tokens: dict[_Labels, int] = defaultdict(int)
        self._cost: dict[tuple[str, str, str], float] = defaultdict(float)
        self.decisions: dict[tuple[str, str], int] = defaultdict(int)
        """By decision and kind of refusal."""
        self._labelled: dict[tuple[tuple[str, str], ...], int] = defaultdict(int)

    def __repr__(self) -> str:
        return f"<Metering {sum(self._tokens.values())} tokens of {len(self._models)} models>"

    async def check(self, document: Document, ask: Ask, call: Call | None) -> None:
        """Before the request, of which the requests' own budgets count one. Raises Refusal."""
        for budget in _budgets_of(document, ask):
            if budget.unit != REQUESTS and call is None:
                continue
            if budget.blocks:
                await self._check(budget, ask)
            if budget.unit == REQUESTS:
                await self._add(budget, ask, 1.0)

    async def _check(self, budget: Budget, ask: Ask) -> None:
        if self._ledger is None:
            raise Refusal(Refused.STOPPING, f"budget {budget.name}: there is no ledger")
        try:
            spent = await self._ledger.spent(key_of(budget, ask.actor), budget.window_s)
        except BudgetsAway as error:
            raise Refusal(
                Refused.STOPPING, f"budget {budget.name} can't be read now ({error})"
            ) from error
        if spent >= budget.amount:
            raise Refusal(
                Refused.RATE if budget.unit == REQUESTS else Refused.BUDGET,
                f"{budget.name}: {spent:.6g} of {budget.amount:g} {budget.unit} used in the "
                f"last {budget.window_s:g} s by this {budget.per}",
                headers=(("retry-after", str(max(1, int(budget.window_s / 60)))),),
            )

    def label(self, wanted: Metrics, decision: str, ask: Ask) -> None:
        """A call, with the labels that its document adds. An expression that fails is empty."""
        if not wanted.labels:
            return
        found = [("decision", decision)]
        for name, expression in wanted.labels:
            try:
                found.append((name, str(expression.compute(ask))[:100]))
            except CelFailed:
                found.append((name, ""))
        key = tuple(found)
        if key not in self._labelled and len(self._labelled) >= _MOST_LABELLED:
            key = tuple((name, "other") for name, _value in found)
        self._labelled[key] += 1

    def count(
        self,
        call: Call,
        usage: Usage,
        cost: Decimal | None,
        *,
        removed: frozenset[str] = frozenset(),
    ) -> None:
        model = usage.model
        if model not in self._models:
            if len(self._models) >= _MOST_MODELS:
                model = "other"  # an actor may name as many as it likes
            self._models.add(model)
        labels = (str(call.operation), call.provider, model)
        for kind, number in (
            ("input", usage.input),
            ("output", usage.output),
            ("input_cache_read", usage.cache_read),
            ("input_cache_write", usage.cache_write),
        ):
            if number and "gen_ai_client_token_usage" not in removed:
                self._tokens[(*labels, kind)] += number
        if cost and "gen_ai_client_cost_usd" not in removed:
            self._cost[labels] += float(cost)

    async def charge(
        self, document: Document, ask: Ask, usage: Usage, cost: Decimal | None
    ) -> None:
        """After it. A charge that the store does not take is lost, and said."""
        for budget in _budgets_of(document, ask):
            if budget.unit != REQUESTS:
                amount = float(usage.total) if budget.unit == "Tokens" else float(cost or 0)
                await self._add(budget, ask, amount)

    async def _add(self, budget: Budget, ask: Ask, amount: float) -> None:
        if not amount or self._ledger is None:
            return
        try:
            await self._ledger.add(key_of(budget, ask.actor), budget.window_s, amount)
        except BudgetsAway as error:
            log.warning(
                "budget not charged",
                extra={"budget": budget.name, "amount": amount, "why": str(error)},
            )

    def read(self) -> Iterator[Metric]:
        names = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_response_model")
        tokens = CounterMetricFamily(
            "gen_ai_client_token_usage",
            "Tokens used by actors' LLM calls.",
            labels=[*names, "gen_ai_token_type"],
        )
        for labels, number in self._tokens.items():
            tokens.add_metric(labels, number)
        yield tokens
        cost = CounterMetricFamily(
            "gen_ai_client_cost_usd", "Cost of actors' LLM calls.", labels=names
        )
        for three, amount in self._cost.items():
            cost.add_metric(three, amount)
        yield cost
        decisions = CounterMetricFamily(
            "rouse_egress_decisions", "Decisions about calls.", labels=("decision", "reason")
        )
        for two, number in self.decisions.items():
            decisions.add_metric(two, number)
        yield decisions
        if self._labelled:
            added = tuple(dict.fromkeys(name for key in self._labelled for name, _v in key))
            calls = CounterMetricFamily(
                "rouse_egress_calls", "Calls, by what documents add.", labels=added
            )
            for key, number in self._labelled.items():
                values = dict(key)
                calls.add_metric([values.get(name, "") for name in added], number)
            yield calls


def is_budgeted(document: Document, call: Call | None) -> bool:
    """Has a store to be asked before such a request?"""
    return any(call is not None or each.unit == REQUESTS for each in document.budgets)


def _budgets_of(document: Document, ask: Ask) -> Iterator[Budget]:
    for budget in document.budgets:
        try:
            if budget.when is None or budget.when.is_true(ask):
                yield budget
        except CelFailed:
            yield budget  # whether it is meant is not known: it is kept
