"""The relay's own settings: limits and budgets, each with what happens when it is reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network


@dataclass(frozen=True, slots=True, kw_only=True)
class RelaySettings:
    """Seconds are floats; a budget of 0 is none, which a request as a whole has by default (A6)."""

    head_s: float = 15.0
    """From a connection's first byte of a request to the end of its head, else 400."""
    idle_s: float = 75.0
    """A kept connection without a request is closed after this."""
    wake_s: float = 60.0
    """How long one request may wait for its actor, all repeats included, else 503."""
    connect_s: float = 5.0
    """How long one connect to an actor or a door may take."""
    first_byte_s: float = 0.0
    """From the end of the request to the head of the answer, else 504."""
    request_s: float = 0.0
    """A request as a whole, a tunnel too: 504 when nothing was answered yet, else it breaks off."""
    stream_idle_s: float = 3600.0
    """An exchange in which nothing moved for this long is ended: 504, or by breaking it off."""
    websocket_quiet_s: float = 0.0
    """A WebSocket in which no data frame passed for this long is closed (1001), so that its actor
    may sleep: pings alone do not keep it awake (A31, A53)."""
    body_idle_s: float = 60.0
    """A client that owes us its body and sends nothing for this long is disconnected."""
    linger_s: float = 5.0
    """After an answer that ends the connection early: how long we still read what was on its way,
    since closing over unread bytes resets the connection and may lose the answer."""
    upstream_idle_s: float = 4.0
    """An unused connection to an actor is closed after this: below the 5 s of many servers."""
    upstream_fresh_s: float = 1.0
    """A request that must not be repeated takes only a connection used within this time, since a
    server that closes it meanwhile would cost the request."""
    idle_per_key: int = 1024
    idle_total: int = 4096
    """Unused connections kept, per copy of an actor and in all. Fewer than are in use at once cost
    most requests a connect; `upstream_idle_s` ends what a crest left behind."""
    connections: int = 16_384
    """Client connections. One more ends the oldest that has no request open, so that slow or idle
    clients can't shut others out; when all have one, it is answered 503 and closed."""
    parked_per_actor: int = 1024
    parked: int = 8192
    """Requests that wait for one actor, and in all; one more is answered 429."""
    parked_bytes: int = 256 * 2**20
    """What those who wait have brought, in all: above it bodies are not read further, and one
    more request is answered 429."""
    requests_per_actor: int = 0
    """Requests open on one actor, those that wait included; one more is answered 429. 0: any."""
    rate_per_address: float = 0.0
    """Requests per second that one client address (of IPv6: /64) may begin, over time; above it
    429. 0: any."""
    rate_burst: int = 100
    """And how many at once."""
    replay_bytes: int = 64 * 1024
    """What is kept of a request's body so that it can be sent again or wait for its actor."""
    buffer_bytes: int = 64 * 1024
    """What may wait in one direction of one connection before its source is paused."""
    attempts: int = 3
    """How often a request may be repeated after stale routes and refused connects (A77)."""
    trusted: tuple[IPv4Network | IPv6Network, ...] = ()
    """Proxies in front of us whose X-Forwarded-* and X-Request-Id are believed."""
    asleep: Mapping[bytes, int] = field(default_factory=dict)
    """Paths and the status that answers them where their actor would have to be woken; where it
    runs they are no activity of it (A4)."""
    scheme: str = "http"
    """What X-Forwarded-Proto says of requests that came here directly."""
