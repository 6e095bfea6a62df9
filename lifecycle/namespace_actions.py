"""Actions on namespaces: what a tenant may have running at once, and what it has."""

import asyncio
from dataclasses import dataclass

from lifecycle import documents
from lifecycle.actions import table_errors
from placement.quotas import Quotas

_CALL_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceStanding:
    name: str
    quota: int | None
    running: int | None
    """Only counted where there is a quota."""


class NamespaceActions:
    def __init__(self, quotas: Quotas) -> None:
        self._quotas = quotas

    async def apply(self, document: object) -> NamespaceStanding:
        """From now on so many; what runs above that goes on. Raises NotUnderstood."""
        name, quota = documents.parse_namespace(document)
        with table_errors():
            async with asyncio.timeout(_CALL_S):
                await self._quotas.set(name, quota)
                return await self._standing(name, quota)

    async def get(self, name: str) -> NamespaceStanding:
        with table_errors():
            async with asyncio.timeout(_CALL_S):
                return await self._standing(name, (await self._quotas.all()).get(name))

    async def list(self) -> list[NamespaceStanding]:
        """Those with a quota, by name."""
        with table_errors():
            async with asyncio.timeout(_CALL_S):
                limits = await self._quotas.all()
                return [await self._standing(name, limits[name]) for name in sorted(limits)]

    async def _standing(self, name: str, quota: int | None) -> NamespaceStanding:
        running = None if quota is None else (await self._quotas.look(name, quota))[1]
        return NamespaceStanding(name=name, quota=quota, running=running)
