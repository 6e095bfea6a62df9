"""Templates as the host and the waker read them: cached, dropped when the feed says so, and read
again after a while, because the feed is a hint that may be lost."""

import asyncio
from collections.abc import Callable

from lifecycle.documents import template_from_json
from lifecycle.errors import DependencyAway
from lifecycle.strict import NotUnderstood
from lifecycle.templates import Template
from placement.catalog import Catalog, TemplateRecord
from placement.errors import PlacementError

FRESH_S = 5.0
"""How long a template may be used without asking when no change was heard of."""
_MOST_NAMESPACES = 10_000


class KnownTemplates:
    """`get` answers from memory within FRESH_S; a table that is away leaves the old one in use."""

    def __init__(self, catalog: Catalog, *, clock: Callable[[], float]) -> None:
        self._catalog = catalog
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, Template | None]] = {}
        self._creators: dict[str, tuple[float, Template | None]] = {}

    def forget(self, namespace: str | None = None) -> None:
        """A template of this namespace changed (None: any may have)."""
        self._creators.clear()
        if namespace is None:
            self._known.clear()
        else:
            self._known = {k: v for k, v in self._known.items() if k[0] != namespace}

    async def get(self, namespace: str, name: str) -> Template | None:
        key = (namespace, name)
        held = self._known.get(key)
        if held is not None and self._clock() - held[0] < FRESH_S:
            return held[1]
        try:
            async with asyncio.timeout(5):
                document = await self._catalog.get(namespace, name)
        except (PlacementError, TimeoutError) as error:
            if held is not None:
                return held[1]
            raise DependencyAway(f"template {namespace}/{name} cannot be read: {error}") from error
        template = None if document is None else _read(document)
        self._known[key] = (self._clock(), template)
        return template

    async def creator(self, namespace: str) -> Template | None:
        """The template of this namespace that makes actors on request, if there is one."""
        held = self._creators.get(namespace)
        if held is not None and self._clock() - held[0] < FRESH_S:
            return held[1]
        try:
            async with asyncio.timeout(5):
                documents = await self._catalog.list(namespace)
        except (PlacementError, TimeoutError) as error:
            raise DependencyAway(f"templates of {namespace} cannot be read: {error}") from error
        templates = [_read(document) for document in documents]
        found = next((t for t in templates if t.create_on_request), None)
        if len(self._creators) >= _MOST_NAMESPACES:
            # Anybody's Host header names a namespace, there or not.
            self._creators.clear()
        self._creators[namespace] = (self._clock(), found)
        return found


def _read(document: TemplateRecord) -> Template:
    try:
        return template_from_json(document.body)
    except NotUnderstood as error:
        raise DependencyAway(
            f"template {document.namespace}/{document.name} was stored by another version: {error}"
        ) from error
