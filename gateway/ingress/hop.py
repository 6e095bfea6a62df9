"""Naming at a door: the fields by which one relay of ours tells another whom a request is for.

Only another relay may send them. Where a key is set, a request without it is refused before
anything else is read; the fields themselves never reach an actor (`fields` cuts every Rouse-*).
"""

import hmac
import re

from gateway.ingress.codec.request import RequestFields
from gateway.ingress.naming import Place
from gateway.ingress.seams import Demand, Reason, Refusal
from placement.model import ActorId, InvalidName

_FIELD = re.compile(rb"\r\n(?i:rouse-(actor|uid|epoch|port|hop-key)):[ \t]*([^\r]*)")
_SAFE = re.compile(r"[\x21-\x7e]*")


def hop_fields(
    actor: ActorId, *, uid: str, epoch: int, port: str = "", key: str | None = None
) -> bytes:
    """What a ticket for another door puts into `hop_fields`."""
    lines = [f"Rouse-Actor: {actor}", f"Rouse-Uid: {uid}", f"Rouse-Epoch: {epoch}"]
    if port:
        lines.append(f"Rouse-Port: {port}")
    if key is not None:
        lines.append(f"Rouse-Hop-Key: {key}")
    if any(_SAFE.fullmatch(line.partition(": ")[2]) is None for line in lines):
        raise ValueError("a hop field may hold visible ASCII only")
    return "".join(line + "\r\n" for line in lines).encode("ascii")


class DoorNaming:
    is_door = True

    def __init__(self, *, key: str | None = None, remembered: int = 4096) -> None:
        self._key = key.encode() if key is not None else None
        self._remembered = remembered
        self._places: dict[bytes, Place] = {}

    def __repr__(self) -> str:
        return f"<DoorNaming {'with' if self._key else 'without'} key, {len(self._places)} known>"

    def name(self, target: bytes, fields: RequestFields) -> Place:
        found = _FIELD.findall(fields.block)
        named = {name.lower(): value.strip(b" \t") for name, value in found}
        if len(named) != len(found):
            raise Refusal(Reason.BAD_REQUEST, "a hop field is there twice")
        given = named.pop(b"hop-key", b"")
        if self._key is not None and not hmac.compare_digest(given, self._key):
            raise Refusal(Reason.FORBIDDEN, "this door serves gateways only")
        return self._place(named)

    def _place(self, named: dict[bytes, bytes]) -> Place:
        mark = b"\n".join(named.get(name, b"") for name in (b"actor", b"uid", b"epoch", b"port"))
        place = self._places.get(mark)
        if place is None:
            place = _read(named)
            if len(self._places) >= self._remembered:
                self._places.clear()
            self._places[mark] = place
        return place


def _read(named: dict[bytes, bytes]) -> Place:
    if b"actor" not in named:
        raise Refusal(Reason.BAD_REQUEST, "this is a worker's door: ask a gateway")
    epoch = named.get(b"epoch", b"")
    try:
        actor = ActorId.parse(named[b"actor"].decode("ascii"))
    except (InvalidName, UnicodeDecodeError) as error:
        raise Refusal(Reason.BAD_NAME, "Rouse-Actor is not an actor's name") from error
    if epoch and not (epoch.isdigit() and len(epoch) < 19):
        raise Refusal(Reason.BAD_REQUEST, "Rouse-Epoch is not a number", actor=actor)
    demand = Demand(
        actor=actor,
        port=named.get(b"port", b"").decode("ascii", "replace"),
        uid=named.get(b"uid", b"").decode("ascii", "replace") or None,
        epoch=int(epoch) if epoch else None,
    )
    return Place(demand=demand, actor=str(actor).encode())
