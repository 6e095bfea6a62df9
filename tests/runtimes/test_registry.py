"""Which class a template gets. That a class works is the contract's to show."""

from pathlib import Path

import pytest

from runtimes.base import Driver, RuntimeClass, RuntimeFailure
from runtimes.bubblewrap import Bubblewrap
from runtimes.gvisor import Gvisor
from runtimes.ports import Ports
from runtimes.process import Process
from runtimes.registry import available, choose, survey


def drivers(*wanted: RuntimeClass) -> dict[RuntimeClass, Driver]:
    root, ports = Path("/nowhere"), Ports()
    every: dict[RuntimeClass, Driver] = {
        RuntimeClass.PROCESS: Process(root, tree=None, ports=ports),
        RuntimeClass.BUBBLEWRAP: Bubblewrap(root, tree=None, ports=ports, privileged=False),
        RuntimeClass.GVISOR: Gvisor(root, tree=None),
    }
    return {runtime: every[runtime] for runtime in wanted}


BOTH = (RuntimeClass.PROCESS, RuntimeClass.BUBBLEWRAP)


def test_auto_takes_the_strongest() -> None:
    assert choose((), drivers(*BOTH), "auto").runtime is RuntimeClass.BUBBLEWRAP


def test_auto_takes_gvisor_only_when_memory_is_asked_for_or_nothing_else_is_there() -> None:
    every = drivers(*BOTH, RuntimeClass.GVISOR)
    assert choose((), every, "auto").runtime is RuntimeClass.BUBBLEWRAP
    assert choose(("full-snapshot",), every, "auto").runtime is RuntimeClass.GVISOR
    assert choose((), every, "gvisor").runtime is RuntimeClass.GVISOR
    alone = drivers(RuntimeClass.GVISOR)
    assert choose((), alone, "auto").runtime is RuntimeClass.GVISOR


def test_auto_takes_what_is_left() -> None:
    assert choose((), drivers(RuntimeClass.PROCESS), "auto").runtime is RuntimeClass.PROCESS


def test_a_named_class_is_taken_though_a_stronger_one_works() -> None:
    assert choose((), drivers(*BOTH), "process").runtime is RuntimeClass.PROCESS


def test_a_required_isolation_is_never_given_up() -> None:
    with pytest.raises(RuntimeFailure, match="process lacks isolation; bubblewrap does not work"):
        choose(("isolation",), drivers(RuntimeClass.PROCESS), "auto")


def test_full_snapshot_is_refused_by_every_class_that_keeps_no_memory() -> None:
    with pytest.raises(RuntimeFailure, match="process lacks full-snapshot; bubblewrap lacks"):
        choose(("full-snapshot",), drivers(*BOTH), "auto")


def test_an_unknown_requirement_is_not_met() -> None:
    with pytest.raises(RuntimeFailure, match="lacks gpu"):
        choose(("gpu",), drivers(*BOTH), "process")


def test_an_unknown_class_is_named() -> None:
    with pytest.raises(RuntimeFailure, match=r"'gvizor'.*auto, process, bubblewrap"):
        choose((), drivers(*BOTH), "gvizor")


async def test_what_is_available_works_and_the_rest_says_why_not(tmp_path: Path) -> None:
    works = await available(tmp_path)
    assert RuntimeClass.PROCESS in works
    for runtime, driver in (await survey(tmp_path)).items():
        mark = await driver.fingerprint()
        assert mark.works == (runtime in works)
        assert mark.works or mark.why_not
