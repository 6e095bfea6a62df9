"""No proxy trick: what rouse forwards, a strict server reads as rouse meant it (A70, A75, A79)."""

import os
from pathlib import Path

import pytest

from tests.gateway.ingress.corpus.answers import ANSWERS
from tests.gateway.ingress.corpus.requests import REQUESTS
from tests.system.strictness.fronts import FRONTS, find
from tests.system.strictness.judge import Fate, judge


def _need(program: str) -> None:
    if program != "rouse" and find(program) is None:
        reason = f"{program} is missing: `make tools` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


async def test_a70_no_request_is_read_differently_behind_us(tmp_path: Path) -> None:
    verdicts = await judge("rouse", REQUESTS, tmp_path)
    assert not [f"{v.case}: {v.why}" for v in verdicts if v.fate is Fate.DIFFERED]
    wrong = [
        f"{v.case}: {v.passed} passed, {v.case.passes} may"
        for v in verdicts
        if v.case.passes is not None and v.passed != v.case.passes
    ]
    assert not wrong
    refused = [v for v in verdicts if v.case.passes == 0]
    assert not [f"{v.case}: {v.status}" for v in refused if v.status != v.case.status]


async def test_a79_no_answer_that_lies_about_its_end_looks_whole(tmp_path: Path) -> None:
    verdicts = await judge("rouse", ANSWERS, tmp_path)
    assert not [f"{v.case}: {v.why}" for v in verdicts if v.fate is Fate.DIFFERED]
    wrong = [
        f"{v.case}: {v.passed} passed, {v.case.passes} may"
        for v in verdicts
        if v.case.passes is not None and v.passed != v.case.passes
    ]
    assert not wrong


@pytest.mark.parametrize("proxy", [name for name in FRONTS if name != "rouse"])
async def test_the_judge_judges_others_too(proxy: str, tmp_path: Path) -> None:
    """Plain traffic passes them whole, so that a difference told of them is one."""
    _need(proxy)
    plain = [case for case in REQUESTS if case.family in ("plain", "CL.TE")]
    verdicts = await judge(proxy, plain, tmp_path)
    assert {v.fate for v in verdicts if v.case.family == "plain"} <= {Fate.FORWARDED, Fate.REFUSED}
    whole = [v for v in verdicts if v.case.family == "plain" and v.fate is Fate.FORWARDED]
    assert len(whole) > 30
