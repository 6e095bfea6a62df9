"""One request as policy sees it: who asks, by which way it came, what for. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.egress.holding import Lease

Fields = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Whoever is behind a connection, by what the worker knows, never by what it says."""

    namespace: str
    name: str
    template: str = ""
    uid: str = ""
    epoch: int = 0
    """Of the copy that runs, as it was started."""
    labels: Mapping[str, str] = field(default_factory=dict)
    policy: str = "default"
    memo: dict[object, object] = field(default_factory=dict, compare=False, repr=False)
    """What expressions that see nothing but the actor said of it."""

    @property
    def id(self) -> str:
        return f"{self.namespace}/{self.name}"

    def values(self) -> dict[str, object]:
        return {
            "id": self.id,
            "namespace": self.namespace,
            "name": self.name,
            "template": self.template,
            "uid": self.uid,
            "labels": dict(self.labels),
        }


class Way(StrEnum):
    """How a request came in."""

    ABSOLUTE = "absolute"
    """`GET http://host/path` to the proxy."""
    INTERCEPTED = "intercepted"
    """Inside a CONNECT that we opened."""
    BASE_URL = "base-url"
    """To the proxy as if it were the server."""
    CONNECT = "connect"


@dataclass(kw_only=True)
class Ask:
    actor: Actor
    way: Way
    scheme: str
    host: str
    """Normalized."""
    port: int
    method: str
    target: str
    """Path and query."""
    fields: Fields = field(default_factory=list)
    """As they came, names lower-cased."""
    source: tuple[str, int] = ("", 0)
    connect_fields: Fields = field(default_factory=list)
    body: bytes | None = None
    """Whole, once the decision asked for it."""
    raw_size: int = 0
    """Of the body, as it came with its framing."""
    lease: "Lease | None" = None
    """For what is held of the body."""
    is_sent: bool = False
    """An exchange has it now, and gives the lease back at its end."""
    part: bytes = b""
    """Its beginning, where that was enough."""
    said: dict[str, object] = field(default_factory=dict)
    """What the decision found out, by the name that expressions see it under."""
    models: tuple[str, ...] | None = None
    """Which models its API key is for; None: there is no such limit."""
    token: str | None = field(default=None, repr=False)
    """The JWT that was found good, and taken out."""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        default = 443 if self.scheme == "https" else 80
        return host if self.port == default else f"{host}:{self.port}"

    def let_go(self) -> None:
        if self.lease is not None:
            self.lease.give_back()

    def replace_fields(self, fields: Fields) -> None:
        self.fields = fields
        self.__dict__.pop("headers", None)

    @cached_property
    def headers(self) -> dict[str, str]:
        """Repeated ones joined, as RFC 9110, section 5.3, allows."""
        return _joined(self.fields)

    @property
    def memo(self) -> dict[object, object]:
        return self.actor.memo

    def root(self, name: str) -> object | None:
        """What expressions see under this name."""
        match name:
            case "actor":
                return self.actor.values()
            case "request":
                seen: dict[str, object] = {
                    "method": self.method,
                    "uri": self.url,
                    "host": self.authority,
                    "scheme": self.scheme,
                    "path": self.path,
                    "pathAndQuery": self.target,
                    "headers": self.headers,
                }
                if self.body is not None:
                    seen["body"] = self.body
                return seen
            case "source":
                return {
                    "address": self.source[0],
                    "port": self.source[1],
                    "connectHeaders": _joined(self.connect_fields),
                }
            case "destination":
                return {"address": self.host, "port": self.port, "hostname": self.host}
            case _:
                return self.said.get(name)


_NEVER_SEEN = ("proxy-authorization",)
"""It is the actor's token: nobody's business but ours."""


def _joined(fields: Fields) -> dict[str, str]:
    made: dict[str, str] = {}
    for name, value in fields:
        if name not in _NEVER_SEEN:
            made[name] = f"{made[name]}, {value}" if name in made else value
    return made


def fields_of(block: bytes) -> Fields:
    """The fields of a block that the codec has checked, in order, names lower-cased."""
    return [
        (name.lower(), value.strip(" \t"))
        for name, _colon, value in (
            line.partition(":") for line in block.decode("latin-1").split("\r\n")[1:]
        )
    ]
