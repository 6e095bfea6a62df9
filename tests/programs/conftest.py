"""One started product for all programs."""

import os
from collections.abc import Iterator

import pytest

from runtimes import runsc
from tests.programs.llm import Llm, serving
from tests.system.product import Process, role, sandboxes, started


def _needs_gvisor() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: a network for each actor")
    if runsc.find() is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have it: {runsc.HOW_TO_GET_IT}")
        pytest.skip(runsc.HOW_TO_GET_IT)


@pytest.fixture
def gvisor() -> str:
    """The class whose sleep keeps memory."""
    _needs_gvisor()
    return "gvisor"


@pytest.fixture(params=["bubblewrap", "gvisor"])
def runtime(request: pytest.FixtureRequest) -> str:
    """Both classes that isolate."""
    if request.param == "gvisor":
        _needs_gvisor()
    return str(request.param)


@pytest.fixture(scope="session")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Llm]:
    with serving(tmp_path_factory.mktemp("llm")) as made:
        yield made


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory, llm: Llm) -> Iterator[Process]:
    """`rouse up`, whose egress lets the agent call its LLM."""
    data = tmp_path_factory.mktemp("up")
    process = role("up", data, ROUSE_EGRESS_POLICIES=f"llm={llm.policy}")
    with started(process):
        yield process
    assert sandboxes(process) == set()
