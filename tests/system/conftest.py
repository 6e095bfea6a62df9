"""The product, started once per module as a user starts it."""

from collections.abc import Iterator

import pytest

from tests.system.product import Process, counter, role, started


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """`rouse up` with the counter's template in `demo`."""
    data = tmp_path_factory.mktemp("up")
    with started(role("up", data, "--slots", "40")) as process:
        assert process.apply(counter()).status in (200, 201)
        yield process
