"""Goldens: snapshots of templates just after they first became ready, as this worker knows them.

A new actor of a template with `snapshot.golden` goes on from its template's golden instead of
starting: from its memory where the class keeps that, else with the files that it had made by then.
Where there is none yet the actor starts as ever, and one is wanted (`building`). Another revision
of the template, another runtime or another machine is another golden, by its name.

What is fetched is kept unpacked, read-only by custom, and shared by all new actors of this worker.
It is a cache: bounded in bytes, longest unused first; a restore that finds it gone starts anew.
"""

import asyncio
import hashlib
import logging
import re
import shutil
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lifecycle.errors import LifecycleError
from lifecycle.host.places import IMAGE, boot_id
from lifecycle.snapshots.image import Memory, Terms
from lifecycle.snapshots.vault import Vault
from lifecycle.templates import Template
from placement.errands import Errands
from placement.model import new_uid

log = logging.getLogger(__name__)

NOT_YET_S = 5.0
"""How long it is believed that the store has none."""
_UID = re.compile(r"g-([0-9a-f]{24})-[0-9a-f]{16}")


def uid_of(template: Template, runtime: str, terms: Terms) -> str:
    """Under which the store has the golden of this revision, for where these terms hold."""
    told = msgspec.json.encode((runtime, sorted(terms.items())))
    return f"g-{template.digest[:24]}-{hashlib.blake2b(told, digest_size=8).hexdigest()}"


def is_golden(uid: str) -> bool:
    return _UID.fullmatch(uid) is not None


def is_needed(namespace: str, uid: str, digests: Mapping[str, set[str]]) -> bool | None:
    """Is this golden that of a template (digests by namespace) as it is? None: it is no golden."""
    found = _UID.fullmatch(uid)
    if found is None:
        return None
    return any(each.startswith(found[1]) for each in digests.get(namespace, ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    id: str
    """Of its snapshot, as an actor of its namespace names it."""
    files: Path
    """As a copy's `durable` directory: its directories, and its image where it has one."""

    @property
    def image(self) -> Path | None:
        image = self.files / IMAGE
        return image if image.exists() else None


class Goldens:
    """`<Goldens 2 known, 31000000 bytes>`"""

    def __init__(
        self, directory: Path, limit_bytes: int, *, vault: Vault, errands: Errands
    ) -> None:
        self._directory = directory / boot_id()
        self._limit = limit_bytes
        self.vault = vault
        self.errands = errands
        self._known: OrderedDict[str, tuple[Golden, int]] = OrderedDict()
        """By `namespace/uid`."""
        self._absent: dict[str, float] = {}
        self._fetching: dict[str, asyncio.Lock] = {}
        self.wanted: asyncio.Queue[tuple[Template, str]] = asyncio.Queue(64)
        """Templates that have none, and the uid that it would have."""
        # Nothing of an earlier start is trusted: it may have been cut short.
        shutil.rmtree(directory, ignore_errors=True)
        self._directory.mkdir(parents=True, mode=0o700)

    def __repr__(self) -> str:
        return f"<Goldens {len(self._known)} known, {self.bytes} bytes>"

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self._known.values())

    async def get(self, template: Template, uid: str, names: Mapping[str, Path]) -> Golden | None:
        """The golden, fetched if need be; None: there is none that can be used, and one is wanted.
        `names`: of its directories, by declared path, as a copy would have them."""
        key = f"{template.namespace}/{uid}"
        lock = self._fetching.setdefault(key, asyncio.Lock())
        try:
            async with lock:  # one fetch for all who wake at once
                found = self._touch(key) or await self._fetch(template.namespace, uid, key, names)
        except (LifecycleError, OSError) as error:
            log.warning("golden cannot be used", extra={"template": key, "why": str(error)})
            self._absent[key] = time.monotonic()
            return None
        finally:
            if not lock.locked():
                self._fetching.pop(key, None)
        if found is None and not self.wanted.full():
            self.wanted.put_nowait((template, uid))
        return found

    def _touch(self, key: str) -> Golden | None:
        held = self._known.get(key)
        if held is None:
            return None
        if not held[0].files.exists():
            self.drop(key)
            return None
        self._known.move_to_end(key)
        return held[0]

    async def _fetch(
        self, namespace: str, uid: str, key: str, names: Mapping[str, Path]
    ) -> Golden | None:
        if time.monotonic() - self._absent.get(key, -NOT_YET_S) < NOT_YET_S:
            return None
        stored = await self.vault.snapshots(namespace, uid)
        if not stored:
            if len(self._absent) > 1000:
                self._absent.clear()
            self._absent[key] = time.monotonic()
            return None
        place = self._place()
        restored = await self.vault.restore(
            namespace,
            uid,
            stored[0],
            {declared: place / path.name for declared, path in names.items()},
            # Its terms are in its uid: whoever looks for it offers them.
            memory=Memory(directory=place / IMAGE, offers={}, is_fit=True),
        )
        place.mkdir(exist_ok=True)  # of a template without directories or memory
        return self.keep(namespace, uid, stored[0], place, restored.bytes_total)

    def new_place(self) -> Path:
        """Where whoever has its files may put them, for `keep`."""
        return self._place()

    def keep(self, namespace: str, uid: str, snapshot: str, place: Path, size: int) -> Golden:
        key = f"{namespace}/{uid}"
        golden = Golden(id=f"{uid}:{snapshot}", files=place)
        self.drop(key)  # of one that was fetched or built beside this
        self._known[key] = (golden, size)
        self._absent.pop(key, None)
        while self.bytes > self._limit and len(self._known) > 1:
            self.drop(next(iter(self._known)))
        return golden

    def drop(self, key: str) -> None:
        held = self._known.pop(key, None)
        if held is not None:
            shutil.rmtree(held[0].files, ignore_errors=True)

    def _place(self) -> Path:
        return self._directory / new_uid()
