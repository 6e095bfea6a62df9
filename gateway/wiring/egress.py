"""A worker's egress proxy: made of the settings, and tied to the copies of actors that run here."""

import asyncio
import logging
import os
import secrets as chance
import socket
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import Metric

from gateway.egress import outfit
from gateway.egress.ask import Actor
from gateway.egress.audit import Audit
from gateway.egress.certs import make_authority
from gateway.egress.credentials.fetching import fetch
from gateway.egress.credentials.secrets import Secrets
from gateway.egress.direct import HTTP, HTTPS
from gateway.egress.metering.budgets import Ledger
from gateway.egress.metering.meters import Metering
from gateway.egress.parts import Parts
from gateway.egress.policies import Policies
from gateway.egress.proxy import Proxy
from gateway.egress.resolving import Names
from gateway.egress.siblings import Siblings
from gateway.egress.tokens import ProxyTokens
from gateway.settings import BadSettings, Settings
from gateway.wiring.backbone import Part
from lifecycle.host.outbound import Line, Outfit
from lifecycle.trust import Address, is_loopback
from runtimes.base import Endpoint, Handle

log = logging.getLogger(__name__)

CALLERS = "callers.pem"
OWN_PORT = 3128
"""Inside an actor's own network; another one where the actor declares this."""
_DIRECT = "127.209.0.1"
"""Of all names, in a network that is nothing but a loopback: nobody else binds there."""
DNS_PORT = 53
"""At 127.0.0.1 it is where programs look that find no /etc/resolv.conf."""


class Copy:
    """One running copy of an actor, as the proxy sees it (seams.Caller)."""

    __slots__ = (
        "_line",
        "actor",
        "begin_call",
        "end_call",
        "is_here",
        "near",
        "own_port",
        "ports",
        "touch",
    )

    def __init__(self, line: Line, near: str, own_port: int, ports: frozenset[int]) -> None:
        self._line = line
        self.near = near
        self.own_port = own_port
        """0: it shares the worker's network."""
        self.ports = ports
        """That the actor itself listens on."""
        self.actor = Actor(
            namespace=line.actor.namespace,
            name=line.actor.name,
            template=line.template,
            uid=line.uid,
            epoch=line.epoch,
            policy=line.policy,
        )
        self.is_here = line.is_here
        self.begin_call = line.begin_call
        self.end_call = line.end_call
        self.touch = line.touch

    @property
    def key(self) -> str:
        return self._line.slug


class EgressPart:
    """Raises BadSettings, OSError when made: a worker with rules it can't read does not start."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger | None,
        caller_seed: bytes | None = None,
        ca_seed: bytes | None = None,
    ) -> None:
        """The seeds: 32 bytes each that all workers share, to sign who calls another actor, and to
        have one CA."""
        self._settings = settings
        home = settings.data_dir / "egress"
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.public = home / "public"
        self._home = home
        self._tokens = ProxyTokens(_key(home / "token.key"))
        ours = (
            settings.egress.ca_cert_file or home / "ca.crt",
            settings.egress.ca_key_file or home / "ca.key",
        )
        try:
            if settings.egress.ca_cert_file is None:
                make_authority(*ours, seed=ca_seed)
            secrets = Secrets(os.environ, fetch)
            self.policies = Policies(
                settings.egress.policies,
                secrets,
                environ=os.environ,
                ours=ours,
                changed=self._write_public,
            )
            self.policies.load()
        except ValueError as error:
            raise BadSettings(f"egress: {error}") from error
        self.metering = Metering(ledger)
        self.siblings = Siblings(
            settings.edge.base_domains, caller_seed or _key(home / "caller.key")
        )
        if settings.egress.gateway is not None:
            at = Address.parse(settings.egress.gateway)
            self.siblings.gateway = (at.host, at.port)
        self._copies: dict[str, Copy] = {}
        self.proxy = Proxy(
            Parts(
                callers=self,
                policies=self.policies,
                secrets=secrets,
                names=Names(),
                audit=Audit(log_file(settings.data_dir)),
                metering=self.metering,
                siblings=self.siblings,
            )
        )
        self._write_public()
        self._sock = _bound(settings.egress.listen, home / "port")
        self.address = self._sock.getsockname()

    def __repr__(self) -> str:
        return f"<EgressPart {len(self._copies)} copies, {self.proxy!r}>"

    def _write_public(self) -> None:
        pems = [pem for policy in self.policies.loaded.values() for pem in policy.ca_pems()]
        outfit.write_files(self.public, pems)
        outfit.write_file(self.public / CALLERS, self.siblings.public_pem)

    def parts(self) -> list[Part]:
        return [("egress proxy", self.proxy.run), ("egress listener", self._listen)]

    async def _listen(self) -> None:
        await self.proxy.listen(self._sock)
        log.info("egress proxy is up", extra={"address": f"{self.address[0]}:{self.address[1]}"})
        await asyncio.Event().wait()

    def close_socket(self) -> None:
        """Of a part that is not run."""
        self._sock.close()

    def token_of(self, slug: str) -> str:
        return self._tokens.mint(slug)

    # seams.Callers

    def by_token(self, token: str) -> Copy | None:
        slug = self._tokens.read(token)
        found = self._copies.get(slug) if slug is not None else None
        return found if found is not None and found.is_here() else None

    # lifecycle.host.outbound.Outbound

    def open(self, line: Line, *, near: str, ports: frozenset[int]) -> Outfit:
        own_port = 0
        if near:
            own_port = next(port for port in range(OWN_PORT, 65536) if port not in ports)
        self._copies[line.slug] = Copy(line, near, own_port, ports)
        line.on_cut(lambda: self.proxy.cut(line.slug))
        host, port = (near, own_port) if near else self.address[:2]
        token = "" if near else self.token_of(line.slug)
        env = outfit.variables(host, port, token, self.public)
        env["ROUSE_CALLER_KEY"] = str(self.public / CALLERS)
        return Outfit(env, (self.public,))

    async def lead(self, line: Line, handle: Handle) -> None:
        """A socket inside the actor's own network: who comes by it is that actor, whatever it
        says. Without one there is no way out of there at all."""
        copy = self._copies[line.slug]
        endpoint = next(iter(handle.endpoints.values()))
        if not (endpoint.has_own_network and copy.own_port):
            return
        await self._listen_inside(copy, endpoint, (copy.near, copy.own_port))
        await self._lead_directly(copy, endpoint)

    async def _lead_directly(self, copy: Copy, endpoint: Endpoint) -> None:
        """For programs that know of no proxy. Where the worker has its own side of the network all
        addresses are there, else one that nobody else uses."""
        is_apart = not is_loopback(copy.near)
        called, at = ("0.0.0.0", copy.near) if is_apart else (_DIRECT, _DIRECT)
        try:
            for port in {HTTP, HTTPS} - copy.ports:
                await self._listen_inside(copy, endpoint, (called, port), direct=port)
            if DNS_PORT not in copy.ports:
                await self._answer_inside(copy, endpoint, at)
        except OSError as error:
            # The program may have taken the port for itself; the proxy is there all the same.
            log.warning(
                "an actor has no direct way out",
                extra={"actor": copy.actor.id, "why": error.strerror},
            )

    async def _listen_inside(
        self, copy: Copy, endpoint: Endpoint, where: tuple[str, int], *, direct: int = 0
    ) -> None:
        sock = endpoint.open_socket()
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(where)
            await self.proxy.listen(sock, copy, direct=direct)
        except BaseException:
            sock.close()
            raise

    async def _answer_inside(self, copy: Copy, endpoint: Endpoint, address: str) -> None:
        sock = endpoint.open_socket(socket.SOCK_DGRAM)
        try:
            sock.bind((copy.near, DNS_PORT))
            await self.proxy.answer_names(sock, copy, address)
        except BaseException:
            sock.close()
            raise

    def close(self, slug: str) -> None:
        if self._copies.pop(slug, None) is not None:
            self.proxy.drop(slug)

    def read(self) -> Iterator[Metric]:
        yield from self.metering.read()


def log_file(data_dir: Path) -> Path:
    return data_dir / "egress" / "egress.log"


def _key(path: Path) -> bytes:
    """Made once; sandboxes that outlive the worker keep their tokens."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        key = chance.token_bytes(32)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(key)
    if len(key) < 32:
        raise BadSettings(f"{path} is damaged: remove it (actors of class process wake anew)")
    return key[:32]


def _bound(listen: str, remembered: Path) -> socket.socket:
    """With port 0 the last one again, where it is free: programs that outlived the worker have it
    in their environment."""
    wanted = Address.parse(listen)
    ports = [wanted.port]
    if not wanted.port:
        try:
            ports = [int(remembered.read_text()), 0]
        except (OSError, ValueError):
            ports = [0]
    for index, port in enumerate(ports):
        try:
            sock = socket.create_server((wanted.host, port), backlog=1024)
        except OSError as error:
            if index + 1 < len(ports):
                continue
            raise BadSettings(f"egress.listen {listen}: {error.strerror}") from error
        remembered.write_text(str(sock.getsockname()[1]))
        return sock
    raise AssertionError("there is always a port to try")
