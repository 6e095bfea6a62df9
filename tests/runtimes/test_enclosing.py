"""The program that makes user namespaces for forks: who is in one, and what it may not."""

import os
import time
from pathlib import Path

import pytest

from runtimes import userns
from runtimes.enclosures import Enclosures

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: who maps user ids")


def spawned(tmp_path: Path, script: str, *shown: str) -> str:
    """What a shell in an enclosure of the users 70 (its maker) and 71 says."""
    users = userns.UserNamespace()
    enclosures = Enclosures(users)
    reading, writing = os.pipe()
    try:
        enclosures.spawn(
            ["/bin/sh", "-c", script], owner=70, user=71, output=writing, keep=(), shown=shown
        )
    finally:
        os.close(writing)
    with open(reading) as said:
        told = said.read()
    enclosures.close()
    users.close()
    return told


def test_two_users_are_in_it_and_no_root(tmp_path: Path) -> None:
    said = spawned(tmp_path, "cat /proc/self/uid_map; id -u; id -G")
    assert [line.split() for line in said.splitlines()] == [
        ["0", "70", "1"],
        ["71", "71", "1"],
        ["0"],
        ["0"],
    ]


def test_no_user_namespace_is_made_below_it(tmp_path: Path) -> None:
    assert spawned(tmp_path, "unshare -U true 2>/dev/null; echo $?").strip() != "0"


def test_a_polite_end_of_the_actor_does_not_end_its_holder(tmp_path: Path) -> None:
    assert "lives" in spawned(tmp_path, "kill -TERM $$; echo lives")


def test_it_has_its_descriptors_and_none_beside(tmp_path: Path) -> None:
    assert sorted(spawned(tmp_path, "ls /proc/$$/fd").split()) == ["0", "1", "2"]


def test_a_directory_in_a_closed_home_is_shown(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "data").mkdir(parents=True, mode=0o755)
    (closed / "data" / "kept").write_text("inside")
    closed.chmod(0o700)
    said = spawned(tmp_path, f"cat /tmp/0/kept; ls {closed} 2>&1", str(closed / "data"))
    assert said.startswith("inside") and "kept" not in said


def test_making_one_is_allowed_for_that_instant_alone(tmp_path: Path) -> None:
    users = userns.UserNamespace()
    enclosures = Enclosures(users)
    out = os.open(os.devnull, os.O_WRONLY)
    pid = enclosures.spawn(["/bin/sleep", "600"], owner=70, user=71, output=out, keep=(), shown=())
    os.close(out)
    try:
        # As the zygote would: its user, in the namespace where its children's are made.
        if (child := os.fork()) == 0:
            from runtimes.cradle import NAMESPACES, checked, libc

            checked(libc().setns(users.fd, NAMESPACES["user"]))
            os.setresuid(70, 70, 70)
            os._exit(0 if libc().unshare(NAMESPACES["user"]) != 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        os.kill(pid, 9)
        enclosures.close()
        users.close()
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.01)
