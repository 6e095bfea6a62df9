"""A machine's network, a real one; that a guest reaches nobody else is in tests/contract."""

import os
import secrets
from collections.abc import Iterator

import pytest

from runtimes import netns, tap
from runtimes.base import RuntimeFailure
from runtimes.tap import Tap

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not tap.TUN.exists(), reason="needs root and /dev/net/tun"
)


@pytest.fixture
def cable() -> Iterator[Tap]:
    made = Tap(f"rouse-test-{secrets.token_hex(4)}")
    tap.make(made)
    yield made
    tap.remove(made)


def test_what_the_worker_sends_comes_out_at_the_machines_end(cable: Tap) -> None:
    end = tap.device(cable)
    try:
        with netns.socket_at(str(cable.path), tap.inode(cable)) as there:
            assert there.connect_ex((tap.GUEST, 1)) == 115  # on its way: EINPROGRESS
            os.set_blocking(end, True)
            frame = os.read(end, 2048)
        # Ten bytes of the device's own, then the guest's address on the wire: nobody was asked.
        assert frame[10:16].hex(":") == tap.GUEST_MAC
    finally:
        os.close(end)


def test_the_worker_reaches_nobody_else_there(cable: Tap) -> None:
    for address in ("169.254.169.254", "127.0.0.1", "192.0.2.1"):
        with netns.socket_at(str(cable.path)) as there:
            assert there.connect_ex((address, 80)) == 101, address  # ENETUNREACH


def test_removed_twice_is_removed_once_and_gives_no_device(cable: Tap) -> None:
    tap.remove(cable)
    tap.remove(cable)
    with pytest.raises(RuntimeFailure, match="no network"):
        tap.device(cable)
