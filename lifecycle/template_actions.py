"""Actions on templates: apply, list, get, delete, and what stands in the way of each."""

import asyncio
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from lifecycle import documents
from lifecycle.actions import ListFilter, table_errors
from lifecycle.errors import NoSuchTemplate, TemplateConflict, TemplateInUse
from placement.catalog import Catalog, TemplateRecord
from placement.listing import Listing

_CALL_S = 5.0
_PAGE = 500


class Applied(StrEnum):
    CREATED = "created"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    template: TemplateRecord
    applied: Applied


class TemplateActions:
    def __init__(self, *, catalog: Catalog, listing: Listing) -> None:
        self._catalog = catalog
        self._listing = listing

    async def apply(self, document: object) -> Outcome:
        """Check it whole, then store it. Raises NotUnderstood, TemplateConflict.

        Actors that run keep what they were started with; the next wake is by the new one."""
        parsed = documents.parse_template(document)
        template = parsed.template
        before = await self._in(template.namespace)
        # Two applies in the same instant can both pass; the creator is then the first by name.
        if template.create_on_request:
            _refuse_second_creator(template.name, before)
        record = TemplateRecord(
            namespace=template.namespace,
            name=template.name,
            digest=template.digest,
            body=parsed.canonical,
        )
        with table_errors():
            async with asyncio.timeout(_CALL_S):
                is_new = await self._catalog.put(
                    template.namespace, template.name, parsed.canonical, template.digest
                )
        if not is_new:
            return Outcome(template=record, applied=Applied.UNCHANGED)
        was_there = any(other.name == template.name for other in before)
        return Outcome(template=record, applied=Applied.CHANGED if was_there else Applied.CREATED)

    async def list(self, namespace: str | None) -> tuple[TemplateRecord, ...]:
        return await self._in(namespace)

    async def get(self, namespace: str, name: str) -> TemplateRecord:
        with table_errors():
            async with asyncio.timeout(_CALL_S):
                record = await self._catalog.get(namespace, name)
        if record is None:
            raise NoSuchTemplate(f"there is no template {namespace}/{name}")
        return record

    async def delete(self, namespace: str, name: str, *, force: bool) -> None:
        """Raises TemplateInUse while actors are of it; by force they stay and cannot wake."""
        if not force:
            await self._refuse_in_use(namespace, name)
        with table_errors():
            async with asyncio.timeout(_CALL_S):
                if not await self._catalog.delete(namespace, name):
                    raise NoSuchTemplate(f"there is no template {namespace}/{name}")

    async def _in(self, namespace: str | None) -> tuple[TemplateRecord, ...]:
        with table_errors():
            async with asyncio.timeout(_CALL_S):
                return await self._catalog.list(namespace)

    async def _refuse_in_use(self, namespace: str, name: str) -> None:
        wanted = ListFilter(namespace=namespace, template=name)
        cursor: str | None = None
        while True:
            with table_errors():
                async with asyncio.timeout(_CALL_S):
                    page, cursor = await self._listing.list(namespace, cursor=cursor, limit=_PAGE)
            user = next((record for record in page if wanted.takes(record)), None)
            if user is not None:
                raise TemplateInUse(
                    f"actors are of template {namespace}/{name}, {user.actor} for one"
                )
            if cursor is None:
                return


def _refuse_second_creator(name: str, others: tuple[TemplateRecord, ...]) -> None:
    for other in others:
        if other.name != name and _creates_on_request(other.body):
            raise TemplateConflict(
                f"template {other.namespace}/{other.name} creates actors on request in this "
                "namespace already: only one may"
            )


def _creates_on_request(canonical: bytes) -> bool:
    """Read loosely: a document of a later version must not make this one's apply fail."""
    spec = msgspec.json.decode(canonical).get("spec", {})
    return bool(spec.get("create", {}).get("onRequest", False))
