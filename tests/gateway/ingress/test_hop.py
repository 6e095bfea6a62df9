"""How one relay names an actor to another, and who is let in."""

import pytest

from gateway.ingress.codec.request import scan_fields
from gateway.ingress.hop import DoorNaming, hop_fields
from gateway.ingress.seams import Reason, Refusal
from placement.model import ActorId

A1 = ActorId("demo", "a1")


def block(lines: bytes) -> bytes:
    return b"\r\nHost: h\r\n" + lines.removesuffix(b"\r\n")


def test_what_a_ticket_says_is_what_the_door_reads() -> None:
    naming = DoorNaming(key="k")
    fields = scan_fields(block(hop_fields(A1, uid="u", epoch=3, port="http", key="k")))
    place = naming.name(b"/", fields)
    demand = place.demand
    assert (demand.actor, demand.uid, demand.epoch, demand.port) == (A1, "u", 3, "http")
    assert naming.name(b"/other", fields) is place


def refused(lines: bytes, key: str | None = None) -> Reason:
    with pytest.raises(Refusal) as caught:
        DoorNaming(key=key).name(b"/", scan_fields(block(lines)))
    return caught.value.reason


def test_a_door_with_a_key_reads_nothing_without_it() -> None:
    lines = hop_fields(A1, uid="u", epoch=3)
    assert refused(lines, key="k") is Reason.FORBIDDEN
    assert refused(lines + b"Rouse-Hop-Key: kk\r\n", key="k") is Reason.FORBIDDEN
    assert refused(b"Rouse-Hop-Key: \r\n", key="k") is Reason.FORBIDDEN


def test_a_door_refuses_what_is_no_hop() -> None:
    assert refused(b"A: b\r\n") is Reason.BAD_REQUEST
    assert refused(b"Rouse-Actor: nonsense\r\n") is Reason.BAD_NAME
    assert refused(b"Rouse-Actor: demo/a1\r\nRouse-Epoch: x\r\n") is Reason.BAD_REQUEST
    assert refused(b"Rouse-Actor: demo/a1\r\nrouse-actor: demo/a2\r\n") is Reason.BAD_REQUEST


def test_a_hop_field_cannot_hold_another_line() -> None:
    with pytest.raises(ValueError, match="visible"):
        hop_fields(A1, uid="u\r\nX: y", epoch=1)
