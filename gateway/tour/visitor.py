"""The tour's HTTP: requests to actors through the edge, questions to the admin API."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

BASE_DOMAIN = "actors.localhost"


class Mismatch(Exception):
    """A step did not go as the tour says; the message tells what was expected and what came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wake:
    """What `Rouse-Wake` told: `cold; total=41.2, queue=0.1, ...`, in milliseconds."""

    kind: str
    phases: Mapping[str, float]

    @classmethod
    def parse(cls, field: str) -> Self:
        kind, _, rest = field.partition(";")
        phases = {}
        for part in filter(None, (part.strip() for part in rest.split(","))):
            name, _, value = part.partition("=")
            try:
                phases[name] = float(value)
            except ValueError:
                raise Mismatch(f"Rouse-Wake cannot be read: {field[:200]!r}") from None
        return cls(kind=kind.strip(), phases=phases)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    body: bytes
    wake: Wake | None
    took_ms: float
    """From the request's first byte to the answer's last, as the visitor saw it."""

    def json(self) -> Any:  # an answer of either side; who reads it checks what he needs
        try:
            return json.loads(self.body)
        except ValueError:
            raise Mismatch(f"expected JSON, got {self.body[:200]!r}") from None

    def expect(self, *statuses: int) -> Self:
        if self.status not in statuses:
            wanted = " or ".join(map(str, statuses))
            raise Mismatch(f"expected status {wanted}, got {self.status}: {self._complaint()}")
        return self

    def _complaint(self) -> str:
        text = self.body[:300].decode(errors="replace").strip()
        try:
            error = json.loads(text)["error"]
            return f"{error['reason']}: {error['message']}"
        except (ValueError, KeyError, TypeError):
            return text or "(empty body)"


class Visitor:
    """One who knows two addresses. Every call ends within the session's own timeout."""

    def __init__(self, session: aiohttp.ClientSession, *, edge_url: str, admin_url: str) -> None:
        self._session = session
        self.edge_url = edge_url.rstrip("/")
        self.admin_url = admin_url.rstrip("/")

    def url_of(self, actor: str, namespace: str, path: str = "/") -> str:
        port = self.edge_url.rpartition(":")[2]
        return f"http://{actor}.{namespace}.{BASE_DOMAIN}:{port}{path}"

    async def visit(
        self, actor: str, namespace: str, path: str = "/", *, body: bytes | None = None
    ) -> Answer:
        """A request to an actor, GET or with a body PUT.

        Goes to the edge's address with the actor's host name, since not every resolver knows that
        names under .localhost are this machine (RFC 6761 section 6.3).
        """
        host = self.url_of(actor, namespace).split("/")[2]
        method = "GET" if body is None else "PUT"
        return await self._ask(method, self.edge_url + path, data=body, headers={"Host": host})

    async def ask_admin(self, method: str, path: str, document: object = None) -> Answer:
        return await self._ask(method, self.admin_url + path, json=document)

    async def _ask(self, method: str, url: str, **rest: Any) -> Answer:  # passed on to aiohttp
        began = time.perf_counter()
        try:
            async with self._session.request(method, url, allow_redirects=False, **rest) as got:
                body = await got.read()
        except TimeoutError:
            raise Mismatch(f"{method} {url}: no answer in time") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Mismatch(f"{method} {url}: {error}") from error
        wake = got.headers.get("Rouse-Wake")
        return Answer(
            status=got.status,
            body=body,
            wake=None if wake is None else Wake.parse(wake),
            took_ms=(time.perf_counter() - began) * 1000,
        )
