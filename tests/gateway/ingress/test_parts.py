"""Request ids; the rest of the parts is exercised by every test of the relay."""

from gateway.ingress.fields import sane_request_id
from gateway.ingress.meters import Meters
from gateway.ingress.naming import EdgeNaming
from gateway.ingress.parts import Parts
from gateway.ingress.settings import RelaySettings
from tests.gateway.ingress.support import FakeUsher


def make() -> Parts:
    return Parts(
        naming=EdgeNaming(),
        usher=FakeUsher(),
        settings=RelaySettings(),
        meters=Meters(),
        access_log=None,
    )


def test_request_ids_are_unique_over_processes_and_sane_to_the_next_hop() -> None:
    ids = {parts.new_request_id() for parts in (make(), make()) for _ in range(100)}
    assert len(ids) == 200 and all(sane_request_id(one) for one in ids)
