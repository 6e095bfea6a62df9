"""What every role stands on: the table and its neighbours on one Redis, and ways to the workers."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gateway.settings import Settings
from lifecycle.catalogue import KnownTemplates
from lifecycle.messages import Worker
from lifecycle.quota import KnownQuotas
from lifecycle.roster import Roster
from lifecycle.rpc.client import Callers, FarWorker
from placement.catalog import Catalog
from placement.changes import Change, Feed, QuotaChanged, Resync, TemplateChanged
from placement.connect import connect
from placement.leases import Leases, boot_time
from placement.listing import Listing
from placement.model import WorkerRecord
from placement.quotas import Quotas
from placement.table import Table

if TYPE_CHECKING:
    from lifecycle.host.host import Host

Part = tuple[str, Callable[[], Coroutine[Any, Any, None]]]
"""A name and the coroutine that runs until it is cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The shared key, and one derived from it for each of our own hops, so that what a door is
    shown opens nothing else."""

    # None of them in a repr, which a log or a trace might take.
    admin: str | None = field(repr=False)
    rpc: str | None = field(repr=False)
    door: str | None = field(repr=False)
    actors: str | None = field(repr=False)
    """Signs tokens for actors."""
    callers: str | None = field(default=None, repr=False)
    """Signs who calls another actor."""
    authority: str | None = field(default=None, repr=False)
    """Of which the egress proxies' CA is made."""

    @classmethod
    def of(cls, shared: str | None) -> "Keys":
        if shared is None:
            return cls(admin=None, rpc=None, door=None, actors=None)

        def derived(purpose: str) -> str:
            return hmac.new(shared.encode(), purpose.encode(), hashlib.sha256).hexdigest()

        return cls(
            admin=shared,
            rpc=derived("rouse rpc"),
            door=derived("rouse door"),
            actors=derived("rouse actor tokens"),
            callers=derived("rouse actor callers"),
            authority=derived("rouse egress authority"),
        )


class Backbone:
    def __init__(self, settings: Settings, url: str, keys: Keys) -> None:
        redis = connect(url)
        self.redis = redis
        self.keys = keys
        replicas = settings.redis.replicas
        self.table = Table(redis, replicas=replicas)
        self.leases = Leases(
            redis,
            ttl_s=settings.lease.ttl_s,
            margin_s=settings.lease.margin_s,
            replicas=replicas,
        )
        self.catalog = Catalog(redis)
        self.listing = Listing(redis)
        self.feed = Feed(redis)
        self.templates = KnownTemplates(self.catalog, clock=boot_time)
        self.roster = Roster(self.leases)
        self.quota_store = Quotas(redis, lasts_s=settings.lease.ttl_s)
        self.quotas = KnownQuotas(self.quota_store)
        self.callers = Callers(keys.rpc)
        self.host: Host | None = None
        """The worker of this process, where there is one: it is asked without a detour."""
        self.feed.listen(self._heard)

    def worker_at(self, record: WorkerRecord) -> Worker:
        host = self.host
        if host is not None and record.worker == host.worker:
            return host
        return FarWorker(record.rpc, self.callers)

    def parts(self) -> list[Part]:
        return [
            ("feed", self.feed.run),
            ("roster", self.roster.run),
            ("quotas", self.quotas.run),
        ]

    def _heard(self, change: Change) -> None:
        if isinstance(change, Resync):
            self.templates.forget()
            self.quotas.forget()
        elif isinstance(change, QuotaChanged):
            self.quotas.forget()
        elif isinstance(change, TemplateChanged):
            self.templates.forget(change.namespace)

    async def close(self) -> None:
        await self.callers.close()
        await self.redis.aclose()


@asynccontextmanager
async def backbone(settings: Settings, url: str, keys: Keys) -> AsyncIterator[Backbone]:
    made = Backbone(settings, url, keys)
    try:
        yield made
    finally:
        await made.close()
