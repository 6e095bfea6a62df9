"""Secrets: held in memory only, read again when their source changes, fetched before they run out.

`value` never waits; what has to be asked for (a command, an endpoint) is `fetch`ed first, once for
all who want it at that moment. `version` grows with every change, so that nothing computed with an
old secret outlives it.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.egress.config.model import Source
from gateway.egress.refusals import Refusal, Refused
from gateway.ingress.watched import WatchedFiles

log = logging.getLogger(__name__)

FETCH_S = 10.0
_RENEW_AT = 0.75
"""Of its life: then it is fetched again while the old one still serves."""
_TRY_AGAIN_S = 5.0
_LARGEST = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    value: str
    lives_s: float

    def __repr__(self) -> str:
        return f"<Fetched, lives {self.lives_s:g} s>"


class SecretUnavailable(Exception):
    """A source that gave nothing; the message tells no secret and nothing that a source printed."""


Fetch = Callable[[Source, "Secrets"], Awaitable[Fetched]]


@dataclass(slots=True, repr=False)
class _Held:
    value: str
    until: float
    renew_at: float


class Secrets:
    def __init__(self, environ: Mapping[str, str], fetch: Fetch) -> None:
        self._environ = environ
        self._fetch = fetch
        self._files: dict[Path, tuple[str, WatchedFiles]] = {}
        self._held: dict[Source, _Held] = {}
        self._fetching: dict[Source, asyncio.Future[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self.version = 0

    def __repr__(self) -> str:
        return f"<Secrets {len(self._files)} files, {len(self._held)} fetched>"

    def watch(self, sources: Iterable[Source]) -> None:
        """Read the files of a document that is about to be used. Raises OSError, ValueError."""
        for path in {each.file for each in sources if each.file is not None}:
            if path not in self._files:
                self._files[path] = ("", WatchedFiles((path,), lambda it=path: self._read(it)))  # type: ignore[misc]
                try:
                    self._files[path][1].load()
                except (OSError, ValueError):
                    del self._files[path]
                    raise

    def _read(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8").strip()
        if not text or len(text) > _LARGEST:
            raise ValueError(f"{path} is empty or too long for a secret")
        self._files[path] = (text, self._files[path][1])
        self.version += 1

    def look(self) -> None:
        """Read what changed, throw away what ran out, fetch what will soon."""
        for _value, watched in list(self._files.values()):
            watched.look()
        now = time.monotonic()
        for source, held in list(self._held.items()):
            if now >= held.until:
                del self._held[source]
                self.version += 1
            elif now >= held.renew_at and source not in self._fetching:
                held.renew_at = now + _TRY_AGAIN_S
                _ = self._begin(source)

    def is_ready(self, source: Source) -> bool:
        if source.command is None and source.http is None and source.oauth is None:
            return True
        held = self._held.get(source)
        return held is not None and time.monotonic() < held.until

    def value(self, source: Source) -> str:
        """Raises SecretUnavailable; of what must be fetched, unless `is_ready`."""
        if source.value is not None:
            return source.value
        if source.file is not None:
            found = self._files.get(source.file)
            if found is None:
                raise SecretUnavailable("its file was not read")
            return found[0]
        if source.env is not None:
            value = self._environ.get(source.env)
            if not value:
                raise SecretUnavailable(f"${source.env} is not set")
            return value
        held = self._held.get(source)
        if held is None or time.monotonic() >= held.until:
            raise SecretUnavailable("it was not fetched in time")
        return held.value

    def text(self, source: Source) -> str:
        """The same for what is no secret. Raises LookupError."""
        try:
            return self.value(source)
        except SecretUnavailable as error:
            raise LookupError(str(error)) from error

    async def ready(self, sources: Iterable[Source]) -> None:
        """Return when all of them can be had, or could not be. Each caller gives up by itself."""
        waiting = [self._begin(each) for each in sources if not self.is_ready(each)]
        if waiting:
            await asyncio.wait(waiting, timeout=FETCH_S)

    def _begin(self, source: Source) -> "asyncio.Future[None]":
        fetching = self._fetching.get(source)
        if fetching is None:
            assert self._group is not None
            fetching = self._group.create_task(self._keep(source), name="fetch a secret")
            self._fetching[source] = fetching
            fetching.add_done_callback(lambda _done: self._fetching.pop(source, None))
        return fetching

    async def _keep(self, source: Source) -> None:
        try:
            async with asyncio.timeout(FETCH_S):
                fetched = await self._fetch(source, self)
        except (SecretUnavailable, OSError, TimeoutError) as error:
            why = str(error) if isinstance(error, SecretUnavailable) else type(error).__name__
            log.warning("secret could not be fetched", extra={"why": why})
            return
        except Exception as error:  # noqa: BLE001 # its words may hold a secret
            log.error("secret source broke", extra={"why": type(error).__name__})
            return
        now = time.monotonic()
        if self._held.get(source, _NOTHING).value != fetched.value:
            self.version += 1
        self._held[source] = _Held(
            fetched.value, now + fetched.lives_s, now + fetched.lives_s * _RENEW_AT
        )

    async def run(self, look_s: float = 1.0) -> None:
        async with asyncio.TaskGroup() as group:
            self._group = group
            while True:
                self.look()
                await asyncio.sleep(look_s)


_NOTHING = _Held("", 0, 0)


def unavailable(name: str, error: SecretUnavailable) -> Refusal:
    return Refusal(Refused.CREDENTIAL, f"the credential {name} is not there: {error}")
