"""What `/metrics` tells of a host and of a relay: the fixed names, read from their plain counts."""

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import Metric

from gateway.ingress.meters import BUCKETS_S
from gateway.ingress.relay import Relay
from gateway.telemetry import counter, gauge, histogram
from lifecycle.host.health import Health
from lifecycle.host.host import Host
from lifecycle.quota import KnownQuotas

_MOST_NAMESPACES = 1_000


def of_host(host: Host) -> Iterator[Metric]:
    meters, kit = host.kit.meters, host.kit
    yield counter("rouse_wakes", "Wakes that ended here.", ["result", "kind"], dict(meters.wakes))
    yield histogram(
        "rouse_wake_phase_seconds",
        "Where wakes, thaws and suspends spent their time.",
        ["phase"],
        {(name,): (h.cumulated(), h.sum) for name, h in meters.phases.items()},
    )
    states = Counter(str(r.phase) for r in host.residents.values())
    yield gauge(
        "rouse_actors",
        "Actors on this worker by state.",
        ["state"],
        {(s,): states[s] for s in ("waking", "running", "frozen", "suspending", "fenced")},
    )
    yield gauge(
        "rouse_slots",
        "Places for running actors.",
        ["kind"],
        {("total",): kit.settings.slots, ("free",): host.free},
    )
    tickets = sum(r.gate.tickets for r in host.residents.values())
    waiting = sum(r.gate.waiting for r in host.residents.values())
    yield gauge("rouse_tickets", "Open requests on actors here.", [], {(): tickets})
    yield gauge("rouse_door_waiting", "Requests that wait at a gate.", [], {(): waiting})
    yield counter(
        "rouse_suspends", "Suspends begun here.", ["result", "cause"], dict(meters.suspends)
    )
    yield counter(
        "rouse_snapshot_bytes",
        "Bytes to and from the snapshot store.",
        ["direction"],
        {(d,): meters.snapshot_bytes[d] for d in ("written", "read")},
    )
    yield counter("rouse_hung", "Programs that hung and were ended.", [], {(): meters.hung})
    mute = sum(1 for r in host.residents.values() if r.health is not Health.WELL)
    yield gauge("rouse_mute", "Running actors that fail their readiness.", [], {(): mute})
    yield counter(
        "rouse_checkpoints",
        "Periodic checkpoints, by what became of them.",
        ["result"],
        {(r,): meters.checkpoints[r] for r in ("saved", "unchanged", "yielded", "failed")},
    )
    yield counter(
        "rouse_forgotten_writes",
        "Answers that the table had forgotten, by what became of them.",
        ["outcome"],
        {(outcome,): meters.forgotten[outcome] for outcome in ("owned", "committed", "ended")},
    )
    yield counter("rouse_fenced", "Times the lease was lost.", [], {(): meters.fenced})


def of_quotas(quotas: KnownQuotas, host: Host | None) -> Iterator[Metric]:
    """Only namespaces to which an operator gave a quota, and only so many of them, are a label."""
    named = sorted(quotas.limits)[:_MOST_NAMESPACES]
    yield gauge(
        "rouse_namespace_quota",
        "Actors of a namespace that may run at once.",
        ["namespace"],
        {(each,): quotas.limits[each] for each in named},
    )
    yield counter(
        "rouse_quota_refused",
        "Wakes that were refused here because the namespace was at its quota.",
        ["namespace"],
        {(each,): quotas.refused[each] for each in named},
    )
    if host is not None:
        running = Counter(actor.namespace for actor in host.residents)
        yield gauge(
            "rouse_namespace_running",
            "Actors of a namespace with a quota on this worker.",
            ["namespace"],
            {(each,): running[each] for each in named},
        )


def of_relay(source: Relay, relay: str) -> Iterator[Metric]:
    """`relay`: edge or door."""
    meters, parked = source.meters, source.parking.count
    requests: dict[tuple[str, ...], float] = {}
    for answerer, counts in (("actor", meters.by_actor), ("rouse", meters.by_rouse)):
        for status, count in counts.items():
            requests[(str(status), answerer, relay)] = count
    yield counter(
        "rouse_requests",
        "Answered requests by status, and by who made the answer.",
        ["status", "source", "relay"],
        requests,
    )
    mine = (relay,)
    yield gauge("rouse_inflight", "Requests under way.", ["relay"], {mine: meters.inflight})
    yield gauge("rouse_parked", "Requests that wait for their actor.", ["relay"], {mine: parked})
    yield gauge("rouse_connections", "Client connections.", ["relay"], {mine: meters.connections})
    yield counter(
        "rouse_repeats",
        "Requests sent again by us, by cause.",
        ["cause", "relay"],
        {(cause, relay): count for cause, count in meters.repeats.items()},
    )
    yield counter("rouse_aborted", "Left by the client.", ["relay"], {mine: meters.aborted})
    yield counter("rouse_broken_off", "Broken answers.", ["relay"], {mine: meters.broken_off})
    total, buckets = 0, []
    for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), meters.latency, strict=True):
        total += count
        buckets.append((bound, float(total)))
    yield histogram(
        "rouse_request_seconds",
        "From the head of a request to the last byte of its answer.",
        ["relay"],
        {mine: (buckets, meters.latency_sum_s)},
    )
