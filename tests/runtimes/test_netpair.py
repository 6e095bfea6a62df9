"""Two namespaces and a cable, real ones; that nothing else is reached is shown from inside a
sandbox (tests/contract/test_gvisor.py)."""

import os
import secrets
import subprocess
from collections.abc import Iterator

import pytest

from runtimes import netns, netpair
from runtimes.netpair import Pair

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces")


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair(f"rouse-test-{secrets.token_hex(4)}")
    netpair.make(made)
    yield made
    netpair.remove(made)


def links(name: str) -> list[str]:
    said = subprocess.run(
        ["ip", "-n", name, "-o", "link"], capture_output=True, text=True, check=True
    ).stdout
    return sorted(line.split()[1].partition("@")[0].rstrip(":") for line in said.splitlines())


def test_each_side_has_its_end_of_the_cable_and_nothing_else(pair: Pair) -> None:
    assert links(pair.worker_side) == ["cable", "lo"] and links(pair.actor_side) == ["eth0", "lo"]


def test_the_worker_can_send_to_the_actor_and_to_nobody_else(pair: Pair) -> None:
    with netns.socket_at(str(pair.worker_path), netpair.inode(pair)) as there:
        assert there.connect_ex((netpair.ACTOR, 80)) == 115  # on its way: EINPROGRESS
    for address in ("169.254.169.254", "127.0.0.1", "192.0.2.1"):
        with netns.socket_at(str(pair.worker_path)) as there:
            there.settimeout(10)
            with pytest.raises(ConnectionRefusedError):  # all others are here, where nobody listens
                there.connect((address, 80))


def test_what_listens_for_any_address_is_met_at_each(pair: Pair) -> None:
    with (
        netns.socket_at(str(pair.worker_path)) as here,
        netns.socket_at(str(pair.worker_path)) as there,
    ):
        here.bind(("0.0.0.0", 443))
        here.listen()
        there.settimeout(10)
        there.connect(("198.51.100.7", 443))
        here.settimeout(10)
        met, _ = here.accept()
        with met:
            assert met.getsockname() == ("198.51.100.7", 443)


def test_a_device_is_made_at_the_actors_end(pair: Pair) -> None:
    home = os.stat("/proc/thread-self/ns/net").st_ino
    os.close(netpair.device(pair))
    assert os.stat("/proc/thread-self/ns/net").st_ino == home


def test_removed_it_is_gone_and_removed_twice_is_removed_once(pair: Pair) -> None:
    assert netpair.names(pair.name) == [pair.name]
    netpair.remove(pair)
    netpair.remove(pair)
    assert netpair.names(pair.name) == []
    with pytest.raises(OSError):
        netpair.inode(pair)


def test_settings_name_the_addresses_of_every_pair() -> None:
    told = netpair.settings(is_restore=True)
    assert told["IsRestore"] and told["FDBasedLinks"][0]["Addresses"][0]["Address"] == netpair.ACTOR
    assert told["Defaultv4Gateway"]["Route"]["Gateway"] == netpair.WORKER
