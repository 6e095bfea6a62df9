"""User ids of actors: stable, theirs alone, and nobody's on the host."""

import os
import pwd

import pytest

from runtimes import userns


def test_an_actor_keeps_its_id_over_all_its_wakes() -> None:
    assert userns.inside("0123456789abcdef") == userns.inside("0123456789abcdef")


def test_no_actor_is_root_or_one_of_the_hosts() -> None:
    ids = [userns.inside(f"{number:016x}") for number in range(10_000)]
    assert all(0 < found < userns.TRAVERSER for found in ids)
    assert len(set(ids)) > 9_990
    taken = {account.pw_uid for account in pwd.getpwall()}
    assert not taken & {userns.outside(found) for found in ids}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: mapping of user ids")
def test_made_once_held_by_a_descriptor_and_let_go() -> None:
    before = len(os.listdir("/proc/self/fd"))
    made = userns.UserNamespace()
    assert os.fstat(made.fd).st_ino != os.stat("/proc/self/ns/user").st_ino
    made.close()
    made.close()
    assert len(os.listdir("/proc/self/fd")) == before
