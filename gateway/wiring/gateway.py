"""A gateway: the edge relay with its usher and waker, and the control API of a process."""

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from ipaddress import ip_network
from types import TracebackType

from aiohttp import web
from prometheus_client.core import Metric

from gateway.control.api import make_app
from gateway.control.guard import Guard
from gateway.control.health import Health
from gateway.ingress.accesslog import AccessLog
from gateway.ingress.naming import EdgeNaming
from gateway.ingress.redirect import HttpsNaming
from gateway.ingress.relay import Relay
from gateway.ingress.settings import RelaySettings
from gateway.ingress.waitingpage import PageUsher
from gateway.settings import Edge, Settings
from gateway.telemetry import Telemetry
from gateway.wiring.backbone import Backbone, Part
from gateway.wiring.edge import EdgeUsher
from gateway.wiring.entry import Entry, minter
from gateway.wiring.listening import listen_or_else, listen_relay, serve_app
from gateway.wiring.logging import BoundedFile
from gateway.wiring.pages import pages_of
from gateway.wiring.readings import of_quotas, of_relay
from gateway.wiring.worker import WorkerPart
from lifecycle.actions import Actions
from lifecycle.namespace_actions import NamespaceActions
from lifecycle.snapshots.vault import Vault
from lifecycle.template_actions import TemplateActions
from lifecycle.trust import Address
from lifecycle.wake import Waker
from placement.model import ActorId, ActorRecord


def relay_settings(edge: Edge) -> RelaySettings:
    limits, budgets = edge.limits, edge.budgets
    return RelaySettings(
        head_s=budgets.head_s,
        idle_s=budgets.keep_alive_s,
        wake_s=edge.wake_timeout_s,
        first_byte_s=budgets.first_byte_s,
        request_s=budgets.request_s,
        connect_s=budgets.connect_s,
        body_idle_s=budgets.body_idle_s,
        stream_idle_s=budgets.stream_idle_s,
        websocket_quiet_s=budgets.websocket_quiet_s,
        connections=limits.connections,
        parked=edge.max_parked,
        parked_bytes=limits.parked_bytes,
        requests_per_actor=limits.requests_per_actor,
        rate_per_address=limits.requests_per_s,
        rate_burst=limits.burst,
        trusted=tuple(ip_network(network) for network in edge.trusted_proxies),
        asleep=edge.asleep_paths,
    )


class EdgePart:
    """One relay for clients. With a worker in this process its actors are one hop nearer."""

    def __init__(
        self,
        settings: Settings,
        backbone: Backbone,
        worker: WorkerPart | None = None,
        *,
        log_name: str = "access.log",
    ) -> None:
        edge = settings.edge
        self._settings = settings
        self.waker = Waker(
            backbone.table,
            backbone.templates,
            backbone.roster,
            backbone.worker_at,
            quotas=backbone.quotas,
        )
        self.usher = EdgeUsher(
            self.waker,
            local=worker.door if worker else None,
            local_worker=worker.host.worker if worker else "",
            hop_key=backbone.keys.door,
        )
        backbone.feed.listen(self.usher.heard)
        self._entry = Entry(settings, backbone.keys)
        self._log = BoundedFile(settings.data_dir / log_name) if edge.access_log else None
        self.relay = Relay(
            naming=EdgeNaming(
                base_domains=edge.base_domains,
                by_fields=edge.sandbox_headers,
                default_namespace="default",
            ),
            usher=PageUsher(self.usher, allowed=pages_of(backbone.table, backbone.templates)),
            settings=relay_settings(edge),
            access_log=AccessLog(self._log.write) if self._log is not None else None,
            gatekeeper=self._entry.gatekeeper,
        )
        self._redirect_to = HttpsNaming()
        self._redirect = (
            Relay(naming=self._redirect_to, usher=self.usher) if edge.tls.redirect_listen else None
        )
        if worker is not None:
            worker.relays.append(self.relay)

    async def listen(self, *, shared: bool = False) -> Address:
        """`shared`: other processes listen on the same port (SO_REUSEPORT)."""
        edge, certificates = self._settings.edge, self._entry.certificates
        tls = certificates.context if certificates is not None else None
        proxies = tuple(ip_network(network) for network in edge.proxy_protocol)
        at = await listen_or_else(
            lambda address: listen_relay(
                self.relay, address, shared=shared, tls=tls, proxies=proxies
            ),
            Address.parse(edge.listen),
            may_move=not self._settings.is_chosen("edge.listen"),
        )
        if self._redirect is not None and edge.tls.redirect_listen is not None:
            self._redirect_to.port = edge.tls.redirect_port or at.port
            plain = Address.parse(edge.tls.redirect_listen)
            await listen_relay(self._redirect, plain, shared=shared, proxies=proxies)
        return at

    async def drain(self, grace_s: float) -> None:
        if self._redirect is not None:
            await self._redirect.drain(0.0)  # its answers are given at once
        await self.relay.drain(grace_s)

    def parts(self) -> list[Part]:
        parts = [("waker", self.waker.run), ("edge", self.relay.run), *self._entry.parts()]
        if self._redirect is not None:
            parts.append(("redirect to https", self._redirect.run))
        return parts

    def read(self) -> Iterator[Metric]:
        yield from of_relay(self.relay, "edge")


class ControlPart(AbstractAsyncContextManager["ControlPart"]):
    """The admin API of a process, listening between enter and exit."""

    def __init__(
        self,
        settings: Settings,
        backbone: Backbone,
        waker: Waker,
        vault: Vault,
        telemetry: Telemetry,
    ) -> None:
        self._settings = settings
        self._backbone = backbone
        self._waker = waker
        self._vault = vault
        self._telemetry = telemetry
        telemetry.add(lambda: of_quotas(backbone.quotas, backbone.host))
        self._runner: web.AppRunner | None = None
        self.not_ready: str | None = "starting"
        """Why readiness says no; None: it says yes."""
        self.at = Address.parse(settings.admin.listen)

    async def __aenter__(self) -> "ControlPart":
        backbone = self._backbone
        actions = Actions(
            table=backbone.table,
            catalog=backbone.catalog,
            listing=backbone.listing,
            leases=backbone.leases,
            waker=self._waker,
            workers=backbone.worker_at,
            forget_snapshots=self._forget_snapshots,
            stored=self._vault.newest,
            fork_snapshot=self._fork_snapshot,
        )
        app = make_app(
            actions,
            TemplateActions(catalog=backbone.catalog, listing=backbone.listing),
            NamespaceActions(backbone.quota_store),
            guard=Guard(address=self.at, key=backbone.keys.admin),
            health=Health(ready=lambda: self.not_ready),
            metrics=self._telemetry.render,
            tokens=minter(self._settings, backbone.keys),
        )
        self._runner = runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        self.at = await listen_or_else(
            lambda address: serve_app(runner, address),
            self.at,
            may_move=not self._settings.is_chosen("admin.listen"),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _forget_snapshots(self, actor: ActorId, uid: str) -> None:
        await self._vault.delete_actor(actor.namespace, uid)

    async def _fork_snapshot(self, source: ActorRecord, to: ActorId, uid: str) -> str:
        assert source.snapshot is not None
        namespace, snapshot = source.actor.namespace, source.snapshot
        return await self._vault.fork(namespace, source.uid, snapshot, uid, to.name)
