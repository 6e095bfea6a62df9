"""P4 through the started product: five hundred times a request meets a suspend."""

import random
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.system.product import Process, counter, role, started

pytestmark = pytest.mark.system

ROUNDS = 500


@pytest.fixture(scope="module")
def restless(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A product whose actors sleep as soon as they may."""
    with started(role("up", tmp_path_factory.mktemp("restless"))) as process:
        idle = {"freezeAfter": "4ms", "suspendAfter": "8ms"}
        assert process.apply(counter(idle=idle)).status in (200, 201)
        yield process


@pytest.mark.timeout(300)
def test_p4_r2_a26_a38_a54_five_hundred_rounds_of_a_suspend_against_a_request(
    restless: Process,
) -> None:
    """Every request is answered, and the counter on disk counts each of them exactly once."""
    chance = random.Random(4)
    kinds: Counter[str] = Counter()
    for turn in range(1, ROUNDS + 1):
        # From before the freeze to well after the commit: a suspend takes some 10 ms here.
        time.sleep(chance.uniform(0, 0.04))
        answer = restless.get("r1", timeout=30)
        assert answer.status == 200, (turn, answer)
        assert answer.json()["file"] == turn
        kinds[answer.headers.get("rouse-wake", "warm").partition(";")[0]] += 1
    # The race was there: requests met the actor awake, frozen or going, and gone.
    assert kinds["cold"] > 20 and kinds["cold"] < ROUNDS, kinds
    suspends = "rouse_suspends_total"
    assert restless.metric(suspends, result="committed", cause="idle") >= kinds["cold"] - 1
    assert restless.metric(suspends, result="aborted", cause="idle") > 0
    assert restless.metric("rouse_requests_total", source="rouse") == 0
