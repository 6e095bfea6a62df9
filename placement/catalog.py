"""The catalog of templates: opaque documents by namespace and name, and a word when one moves."""

from typing import Any

import msgspec

from placement import keys
from placement.connect import Client
from placement.errors import RecordRefused, reaching
from placement.scripts import Scripts


class TemplateRecord(msgspec.Struct, frozen=True, kw_only=True):
    namespace: str
    name: str
    digest: str
    """Of the document, as the caller computed it: equal digests, equal documents."""
    body: bytes


class Catalog:
    """One hash for each namespace. `put` and `delete` are one step with the message that lets
    caches drop what they have."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)

    async def put(self, namespace: str, name: str, body: bytes, digest: str) -> bool:
        """Make this the template's document; False when it was already."""
        async with reaching():
            # Before the document: a namespace without templates is listed as empty, while a
            # document in no listed namespace would not be found.
            await self._redis.sadd(keys.TEMPLATE_NAMESPACES, namespace)
        stored = digest.encode() + b"\n" + body
        arguments: list[str | bytes] = [name, stored, keys.CHANGES, f"t {namespace}/{name}"]
        answer = await self._scripts.run("template_put", [keys.templates_key(namespace)], arguments)
        return bool(answer)

    async def get(self, namespace: str, name: str) -> TemplateRecord | None:
        async with reaching():
            found: Any = await self._redis.hget(keys.templates_key(namespace), name)
        return None if found is None else _record(namespace, name, found)

    async def list(self, namespace: str | None = None) -> tuple[TemplateRecord, ...]:
        """All templates of a namespace, or of all, in order of name."""
        async with reaching():
            spaces = [namespace] if namespace is not None else await self._namespaces()
            found: list[tuple[str, Any]] = [
                (space, await self._redis.hgetall(keys.templates_key(space))) for space in spaces
            ]
        return tuple(
            _record(space, name.decode(), stored)
            for space, fields in found
            for name, stored in sorted(fields.items())
        )

    async def delete(self, namespace: str, name: str) -> bool:
        """False when there was none. Actors of it stay; they wake again once it is back."""
        arguments = [name, keys.CHANGES, f"t {namespace}/{name}"]
        root = keys.templates_key(namespace)
        return bool(await self._scripts.run("template_delete", [root], arguments))

    async def _namespaces(self) -> tuple[str, ...]:
        found: Any = await self._redis.smembers(keys.TEMPLATE_NAMESPACES)
        return tuple(sorted(name.decode() for name in found))


def _record(namespace: str, name: str, stored: bytes) -> TemplateRecord:
    digest, newline, body = stored.partition(b"\n")
    if not newline:
        raise RecordRefused(f"template {namespace}/{name} is not as we write one")
    return TemplateRecord(namespace=namespace, name=name, digest=digest.decode(), body=body)
