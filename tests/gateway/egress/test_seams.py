"""The seams are what the tests' own callers are, too."""

from typing import TYPE_CHECKING

from tests.gateway.egress.world import FakeCaller, FakeCallers

if TYPE_CHECKING:
    from gateway.egress.seams import Caller, Callers


def test_fakes_obey_the_seams() -> None:
    caller: Caller = FakeCaller()
    callers: Callers = FakeCallers({"t": FakeCaller()})
    assert caller.is_here() and callers.by_token("nope") is None
