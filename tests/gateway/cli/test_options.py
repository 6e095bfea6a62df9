"""Names and durations of the command line."""

import pytest

from gateway.cli import options
from gateway.cli.failures import Failure


def test_a_name_may_bring_its_namespace() -> None:
    assert options.qualified("c1", None) == ("default", "c1")
    assert options.qualified("c1", "demo") == ("demo", "c1")
    assert options.qualified("demo/c1", None) == ("demo", "c1")
    assert options.qualified("demo/c1", "demo") == ("demo", "c1")
    with pytest.raises(Failure, match="leave -n out"):
        options.qualified("demo/c1", "other")


def test_a_name_stays_one_segment_of_the_path() -> None:
    assert options.path_of("actors", "a/../b", None, "/wake") == (
        "/v1/namespaces/a/actors/..%2Fb/wake"
    )


def test_a_duration_that_has_no_end_is_no_wait() -> None:
    assert options.seconds("1m30s", "--wait") == 90
    with pytest.raises(Failure, match="--wait: waiting has an end"):
        options.seconds("never", "--wait")
