"""Naming at the edge: which actor a request is for, by its host, its path or its fields.

Pure but for the memory of hosts it has seen, which is bounded.
"""

import re
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import unquote_to_bytes

from gateway.ingress.codec.request import RequestFields
from gateway.ingress.seams import Demand, Reason, Refusal
from placement.model import ActorId, InvalidName, is_label


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a request goes. Shared by all requests that name it alike."""

    demand: Demand
    """Without a request id and a deadline, which only a wake needs."""
    actor: bytes
    """`namespace/name`, for logs."""
    target: bytes | None = None
    """What the actor is asked for, where that differs from what the client asked for."""
    prefix: bytes = b""
    """X-Forwarded-Prefix: what was cut from the target."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """Answer 308 with this Location."""

    location: bytes


class Naming(Protocol):
    is_door: bool
    """Requests come from another relay of ours, so what they say of their way is true."""

    def name(self, target: bytes, fields: RequestFields) -> Place | Redirect:
        """Raises Refusal when the request names no actor, or may not name one here."""
        ...


def place_of(namespace: str, name: str, port: str = "", **more: bytes) -> Place:
    try:
        actor = ActorId.of(namespace, name)
    except InvalidName as error:
        raise Refusal(Reason.BAD_NAME, str(error)) from error
    if port and not _is_port(port):
        raise Refusal(Reason.NO_PORT, f"{port[:80]!r} is no port's name or number", actor=actor)
    demand = Demand(actor=actor, port=port)
    target, prefix = more.get("target"), more.get("prefix", b"")
    return Place(demand=demand, actor=str(actor).encode(), target=target, prefix=prefix)


def _is_port(text: str) -> bool:
    return is_label(text) and (not text.isdigit() or 0 < int(text) < 65_536)


_PATH = re.compile(rb"/actors/([^/?]*)/([^/?]*)([/?].*)?", re.DOTALL)
_PREFIX: Final = b"/actors/"
_SANDBOX = re.compile(rb"\r\n(?i:(x-sandbox-id|x-sandbox-namespace|x-sandbox-port)):[ \t]*([^\r]*)")


class EdgeNaming:
    """Host first, since it is what a browser's origin is; then fields, where on; then path."""

    is_door = False

    def __init__(
        self,
        *,
        base_domains: tuple[str, ...] = ("actors.localhost",),
        by_fields: bool = False,
        default_namespace: str = "default",
        remembered: int = 65_536,
    ) -> None:
        suffixes = ("." + domain.lower().strip(".") for domain in base_domains)
        # The longest first: one base domain may lie under another.
        self._suffixes = tuple(sorted(suffixes, key=len, reverse=True))
        self._by_fields = by_fields
        self._default_namespace = default_namespace
        self._remembered = remembered
        self._hosts: dict[bytes, Place | None] = {}

    def __repr__(self) -> str:
        return f"<EdgeNaming {', '.join(self._suffixes)}, {len(self._hosts)} hosts known>"

    def name(self, target: bytes, fields: RequestFields) -> Place | Redirect:
        place = self._hosts.get(fields.host)
        if place is not None:
            return place
        if fields.host not in self._hosts and (place := self._remember(fields.host)) is not None:
            return place
        if self._by_fields and (named := self._from_fields(fields)) is not None:
            return named
        if target.startswith(_PREFIX):
            return self._from_path(target)
        raise Refusal(Reason.NO_ACTOR, "neither the host nor the path names an actor")

    def _remember(self, host: bytes) -> Place | None:
        place = self._from_host(host)
        if len(self._hosts) >= self._remembered:
            self._hosts.clear()  # whoever invents hosts costs the others one look each
        self._hosts[host] = place
        return place

    def _from_host(self, host: bytes) -> Place | None:
        text = host.decode("ascii").lower().partition(":")[0].rstrip(".")
        for suffix in self._suffixes:
            if text.endswith(suffix):
                return self._from_labels(text.removesuffix(suffix))
        return None

    def _from_labels(self, text: str) -> Place:
        labels = text.split(".")
        if len(labels) != 2:
            raise Refusal(Reason.BAD_NAME, "the host is not <actor>.<namespace>.<base domain>")
        # A label may hold `--` itself, so it is the first one that parts the port from the name.
        port, dashes, name = labels[0].partition("--")
        if not dashes:
            return place_of(labels[1], labels[0])
        return place_of(labels[1], name, port)

    def _from_path(self, target: bytes) -> Place | Redirect:
        match = _PATH.fullmatch(target)
        if match is None:
            raise Refusal(Reason.BAD_NAME, "the path is not /actors/<namespace>/<actor>/...")
        namespace, name, rest = match.groups()
        if rest is None or rest.startswith(b"?"):
            # Without its slash, relative links in the actor's pages would lose the actor.
            place_of(_text(namespace), _text(name))
            return Redirect(location=b"/actors/%b/%b/%b" % (namespace, name, rest or b""))
        prefix = b"/actors/%b/%b" % (namespace, name)
        return place_of(_text(namespace), _text(name), target=rest, prefix=prefix)

    def _from_fields(self, fields: RequestFields) -> Place | None:
        found: dict[bytes, bytes] = {}
        for name, value in _SANDBOX.findall(fields.block):
            if found.setdefault(name.lower(), value.strip()) != value.strip():
                raise Refusal(Reason.BAD_NAME, f"{name.decode()} is there twice")
        if b"x-sandbox-id" not in found:
            return None
        namespace = found.get(b"x-sandbox-namespace", b"") or self._default_namespace.encode()
        port = found.get(b"x-sandbox-port", b"")
        return place_of(_text(namespace), _text(found[b"x-sandbox-id"]), _text(port))


def _text(raw: bytes) -> str:
    return unquote_to_bytes(raw).decode("utf-8", "replace")
