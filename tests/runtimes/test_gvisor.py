"""The driver's own words; what it promises is in tests/contract/test_gvisor.py."""

from pathlib import Path

from runtimes.base import Scope
from runtimes.cgroups import find_tree
from runtimes.gvisor import Gvisor
from tests.contract.driver import Bench


async def test_without_the_program_it_says_how_to_get_it(tmp_path: Path) -> None:
    driver = Gvisor(tmp_path, tree=None)
    found = await driver.fingerprint()
    assert not found.works and found.why_not


async def test_a_program_that_is_no_runsc_does_not_work(tmp_path: Path) -> None:
    driver = Gvisor(tmp_path, tree=find_tree(), program=Path("/bin/false"))
    assert not (await driver.fingerprint()).works


async def test_it_is_taken_by_request_and_keeps_memory(gvisor: Bench) -> None:
    can = gvisor.driver.capabilities()
    assert can.by_request and Scope.FULL in can.scopes and can.isolation == 2


async def test_terms_name_what_an_image_needs(gvisor: Bench) -> None:
    terms = gvisor.driver.image_terms(gvisor.spec())
    assert len(terms["processor"]) > 5 and all(all(values) for values in terms.values())
    assert terms == gvisor.driver.image_terms(gvisor.spec(env={"OTHER": "env"}))
    other = gvisor.driver.image_terms(gvisor.spec(command=("sleep", "1")))
    assert [name for name in terms if terms[name] != other[name]] == ["sandbox"]
