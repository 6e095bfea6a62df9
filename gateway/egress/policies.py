"""The policies in force: documents by name with what the loop needs of them, loaded off the loop.

A document that can't be used leaves the old one in force, and says so once. Where there was none,
the policy is not there, and nothing goes out under its name.
"""

import asyncio
import dataclasses
import logging
import ssl
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import TypeVar

from gateway.egress.callers import passwords
from gateway.egress.callers.keyring import Keyring
from gateway.egress.cel import Expression
from gateway.egress.certs import Authority, server_context
from gateway.egress.config.gate_model import BasicAuth
from gateway.egress.config.model import BackendTls, Document, Listener, ListenerTls, Source
from gateway.egress.config.reading import read
from gateway.egress.credentials.secrets import Secrets
from gateway.egress.deciding import Decider
from gateway.egress.limits import Buckets
from gateway.egress.metering.prices import Prices, read_prices
from gateway.egress.upstream import Contexts

log = logging.getLogger(__name__)

LOOK_S = 1.0
_TOLD = (OSError, ValueError, ssl.SSLError)

Signature = tuple[tuple[int, int, int] | None, ...]


class Policy:
    """One document at work."""

    def __init__(
        self,
        document: Document,
        contexts: Contexts,
        authorities: dict[ListenerTls, Authority],
        fixed: dict[ListenerTls, ssl.SSLContext],
        prices: Prices,
        keyring: Keyring,
    ) -> None:
        self.document = document
        self.decider = Decider(document, Buckets(), Random(), keyring)
        self.contexts = contexts
        self.prices = prices
        self.sees_source = any("source" in each.roots for each in found_in(document, Expression))
        """Some rule looks at the connection, so what holds for one may not for another."""
        self._authorities = authorities
        self._fixed = fixed

    def authority(self, listener: Listener) -> Authority | None:
        return None if listener.tls is None else self._authorities.get(listener.tls)

    def fixed_context(self, listener: Listener) -> ssl.SSLContext | None:
        return None if listener.tls is None else self._fixed.get(listener.tls)

    def ca_pems(self) -> list[bytes]:
        return [each.pem for each in self._authorities.values()]


class Policies:
    """`ours`: the CA that listeners with dynamicCa and no cert of their own mint from."""

    def __init__(
        self,
        files: Mapping[str, Path],
        secrets: Secrets,
        *,
        environ: Mapping[str, str],
        ours: tuple[Path, Path],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._files = dict(files)
        self._secrets = secrets
        self._environ = environ
        self._ours = ours
        self._changed = changed
        self._loaded: dict[str, Policy] = {}
        self._seen: dict[str, tuple[tuple[Path, ...], Signature]] = {}

    def __repr__(self) -> str:
        return f"<Policies {', '.join(self._loaded) or 'none'}>"

    def of(self, name: str) -> Policy | None:
        return self._loaded.get(name)

    @property
    def loaded(self) -> Mapping[str, Policy]:
        return self._loaded

    def load(self) -> None:
        """At the start; blocks. Raises ValueError: a worker does not begin with less."""
        for name, path in self._files.items():
            try:
                policy, paths, seen = self._read(path)
                self._take(name, policy, paths, seen)
            except OSError as error:
                which = error.filename or path
                raise ValueError(f"policy {name}: {which}: {error.strerror or error}") from error
        _set_level(each.document.log_level for each in self._loaded.values())

    def _read(self, path: Path) -> tuple[Policy, tuple[Path, ...], Signature]:
        # The signature from before: a change during the reading is found by the next look.
        text_seen = _signature((path,))
        try:
            document = read(path.read_bytes(), self._environ)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        paths = (path, *_files_of(document))
        seen = (*text_seen, *_signature(paths[1:]))
        contexts = Contexts()
        contexts.prepare(found_in(document, BackendTls))
        contexts.add_system()
        authorities, fixed = self._listeners(document)
        prices = read_prices(document.catalogs)
        if any(found_in(document, BasicAuth)):
            passwords.library()
        keyring = Keyring(self._secrets.text)
        return Policy(document, contexts, authorities, fixed, prices, keyring), paths, seen

    def _listeners(
        self, document: Document
    ) -> tuple[dict[ListenerTls, Authority], dict[ListenerTls, ssl.SSLContext]]:
        authorities: dict[ListenerTls, Authority] = {}
        fixed: dict[ListenerTls, ssl.SSLContext] = {}
        for tls in {each.tls for bind in document.binds for each in bind.listeners if each.tls}:
            if tls.dynamic:
                cert, key = tls.cert or self._ours[0], tls.key or self._ours[1]
                authorities[tls] = Authority(cert, key, tls)
            elif tls.cert is not None:
                fixed[tls] = server_context(tls)
                fixed[tls].load_cert_chain(tls.cert, tls.key)
        return authorities, fixed

    def _take(self, name: str, policy: Policy, paths: tuple[Path, ...], seen: Signature) -> None:
        """On the loop, in one step: a request is judged by the old one or by the new one."""
        self._secrets.watch(found_in(policy.document, Source))
        self._loaded[name] = policy
        self._seen[name] = (paths, seen)

    async def look(self) -> bool:
        """Load what changed; True when something new is in force."""
        is_new = False
        for name, path in self._files.items():
            paths, seen = self._seen[name]
            now = await asyncio.to_thread(_signature, paths)
            if now == seen:
                continue
            try:
                policy, paths, now = await asyncio.to_thread(self._read, path)
                self._take(name, policy, paths, now)
            except _TOLD as error:
                log.error(
                    "egress policy can't be used, the old one stays",
                    extra={"policy": name, "why": str(error)[:500]},
                )
                self._seen[name] = (paths, now)  # told once, tried again when it changes
                continue
            log.info("egress policy taken over", extra={"policy": name})
            is_new = True
        if is_new:
            self._changed()
        return is_new

    async def run(self, look_s: float = LOOK_S) -> None:
        while True:
            await asyncio.sleep(look_s)
            try:
                await self.look()
            except Exception:
                log.exception("egress policies could not be looked at")


def _set_level(said: Iterable[str | None]) -> None:
    """Of our own log, as the document wants it that wants to see most. Only at the start, as
    agentgateway does it: the log is the worker's, not one document's."""
    levels = [_LEVELS[each] for each in said if each is not None]
    if levels:
        logging.getLogger("gateway.egress").setLevel(min(levels))


_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
}

Found = TypeVar("Found")


def found_in(part: object, kind: type[Found]) -> Iterator[Found]:
    """Every one of a kind in a document, inner ones too."""
    if isinstance(part, kind):
        yield part
    if isinstance(part, tuple):
        for each in part:
            yield from found_in(each, kind)
    elif dataclasses.is_dataclass(part):
        for field in dataclasses.fields(part):
            yield from found_in(getattr(part, field.name), kind)


def _files_of(document: Document) -> tuple[Path, ...]:
    """Whose change is one of the document; secrets are looked after by themselves."""
    files: list[Path | None] = [each for each in document.catalogs if isinstance(each, Path)]
    for listener in found_in(document, ListenerTls):
        files += [listener.cert, listener.key, listener.root]
    for backend in found_in(document, BackendTls):
        files += [backend.cert, backend.key, backend.root]
    return tuple(dict.fromkeys(each for each in files if each is not None))


def _signature(paths: tuple[Path, ...]) -> Signature:
    return tuple(_of(path) for path in paths)


def _of(path: Path) -> tuple[int, int, int] | None:
    """Through links: a mounted ConfigMap changes by turning one."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
