"""A short round of chaos: some faults at some points, under load. All of them: `make chaos`."""

from pathlib import Path

import pytest

from lifecycle.failpoints import Point
from tests.chaos.matrix import Matrix
from tests.chaos.referee import Referee
from tests.chaos.world import Fault, world

pytestmark = pytest.mark.system

ROUND = (
    (Point.WAKE_CLAIMED, Fault.KILL_IT),
    (Point.SUSPEND_SAVED, Fault.KILL_IT),
    (Point.CHECKPOINT_COPIED, Fault.KILL_REDIS),
    (Point.HEARTBEAT_COMPARED, Fault.STOP_IT),
    (Point.SUSPEND_BEGUN, Fault.KILL_GATEWAY),
    (Point.GATEWAY_RETRY, Fault.KILL_IT),
    (Point.GATEWAY_FORWARD, Fault.STALL_REDIS),
)


def test_a_round_of_faults_costs_no_saved_record_runs_no_actor_twice_and_leaves_none_stuck(
    tmp_path: Path,
) -> None:
    with world(tmp_path) as here:
        for point, fault in ROUND:
            took_s = here.strike(point, fault)
            print(f"{point}, {fault}: served again after {took_s:.1f} s")  # noqa: T201
        here.clients.stop()
        acked, lost = here.verdict()
        print(f"{acked} acknowledged, {lost} lost with a worker, {here.referee.shown} shown")  # noqa: T201
        assert here.referee.shown >= acked > 0


def test_a_run_goes_on_with_the_matrix_that_an_earlier_one_wrote() -> None:
    first = Matrix()
    first.add(Point.WAKE_BEGIN, Fault.KILL_IT, 1.25)
    first.add(Point.WAKE_BEGIN, Fault.KILL_IT, 2.0)
    first.add(Point.DRAIN_ONE, Fault.STALL_REDIS, 4.5)
    first.checked(100, 3, 120)
    written = first.document(60)
    assert Matrix.read(written).document(60) == written


def test_the_referee_sees_a_copy_that_serves_after_another_did() -> None:
    referee = Referee()
    try:
        assert [referee.judge("a", copy) for copy in ("1", "1", "2", "2")] == [True] * 4
        assert referee.judge("b", "1")
        assert not referee.judge("a", "1")
        assert len(referee.double) == 1
    finally:
        referee._socket.close()
