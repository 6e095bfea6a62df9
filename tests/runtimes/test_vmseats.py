"""What is made for a machine, found by its name and removed; real cgroups and namespaces."""

import asyncio
import os
from pathlib import Path

import pytest

from runtimes import procfs
from runtimes.base import Resources
from runtimes.cgroups import Tree, find_tree
from runtimes.spawn import in_thread
from runtimes.vmseats import VmSeats, read_exit

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: network namespaces")


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


@pytest.fixture
def seats(tmp_path: Path) -> VmSeats:
    tree = find_tree()
    if tree is None:
        pytest.skip("no writable cgroup2 tree")
    return VmSeats(root=tmp_path, tree=tree)


async def test_what_is_launched_has_no_rights_and_its_network_alone(seats: VmSeats) -> None:
    seat = seats.new()
    try:
        seat.lay(1 << 20, Resources())
        process = await seat.launch(["sleep", "60"], [], None)
        # A shell, then what puts it apart, then itself.
        while (fields := status_of(process.pid))["Name"] != "sleep":
            await asyncio.sleep(0.001)
        assert fields["Uid"].split() == [str(seat.user)] * 4
        assert fields["CapEff"] == fields["CapBnd"] == "0" * 16 and fields["NoNewPrivs"] == "1"
        assert os.stat(f"/proc/{process.pid}/ns/net").st_ino == os.stat(seat.tap.path).st_ino
        assert seat.cgroup.pids() == [process.pid]
    finally:
        seat.remove()
    assert not procfs.is_alive(process)
    await in_thread(lambda: os.waitpid(process.pid, 0))


def test_removed_by_name_from_another_process_nothing_is_left(
    seats: VmSeats, tmp_path: Path
) -> None:
    seat = seats.new()
    seat.lay(1 << 20, Resources())
    assert seats.names() == [seat.name]
    again = VmSeats(root=tmp_path, tree=seats.tree).at(seat.name)
    again.remove()
    again.remove()
    for place in (seat.directory, seat.run, seat.tap.path, seat.cgroup.path, seat.memory_file):
        assert not place.exists(), place


def test_two_drivers_seats_do_not_meet(tmp_path: Path) -> None:
    tree = Tree(base=Path("/nowhere"), controllers=frozenset())
    one, two = (VmSeats(root=tmp_path / name, tree=tree).at("same") for name in "ab")
    assert one.whole_name != two.whole_name


def test_what_a_guest_says_of_its_end_is_not_believed_blindly(tmp_path: Path) -> None:
    for told, found in ((b'{"code": 3}', {"code": 3}), (b"[]", {}), (b"nonsense", {}), (b"", {})):
        (tmp_path / "exited").write_bytes(told)
        assert read_exit(tmp_path / "exited") == found
    assert read_exit(tmp_path / "none") == {}
