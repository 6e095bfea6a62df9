"""A seat from its making to its removal; the sandbox in it is the driver's contract's."""

from pathlib import Path

from runtimes import netpair
from runtimes.base import Resources
from runtimes.gvisor import Gvisor
from runtimes.seats import STATE, Seat
from tests.contract.driver import Bench


def seat_of(bench: Bench) -> Seat:
    assert isinstance(bench.driver, Gvisor)
    return bench.driver.seats.new()


def traces(seat: Seat) -> list[Path | str]:
    kept = [seat.directory, seat.cgroup.path, *STATE.glob(f"*{seat.container}*")]
    return [path for path in kept if path.exists()] + list(netpair.names(seat.pair.name))


async def test_half_a_seat_is_removed_like_a_whole_one(gvisor: Bench) -> None:
    seat = seat_of(gvisor)
    seat.directory.mkdir(parents=True)
    seat.remove()
    assert traces(seat) == []
    seat = seat_of(gvisor)
    seat.lay()
    assert netpair.names(seat.pair.name) == [seat.pair.name]
    seat.remove()
    seat.remove()
    assert traces(seat) == []


async def test_a_sandbox_that_runs_goes_with_its_seat(gvisor: Bench) -> None:
    handle = await gvisor.start(command=("sleep", "60"))
    assert isinstance(gvisor.driver, Gvisor)
    seats = gvisor.driver.seats
    (name,) = seats.names()
    seat = seats.at(name)
    assert seat.control.exists() and str(seat.cgroup.path) == handle.cgroup
    seat.remove()
    assert traces(seat) == [] and seats.names() == []


async def test_seats_of_two_workers_have_different_names(gvisor: Bench, tmp_path: Path) -> None:
    other = gvisor.make(tmp_path / "other")
    assert isinstance(other, Gvisor) and isinstance(gvisor.driver, Gvisor)
    assert other.seats.mark != gvisor.driver.seats.mark


async def test_a_bundle_that_cannot_be_is_told_in_runscs_words(gvisor: Bench) -> None:
    seat = seat_of(gvisor)
    seat.lay()
    try:
        seat.create({"ociVersion": "1.0.0"}, Resources())
    except Exception as error:  # noqa: BLE001 # whatever it is, it must say why
        assert "runsc create" in str(error)
    else:
        raise AssertionError("a bundle of nothing was taken")
    finally:
        seat.remove()
