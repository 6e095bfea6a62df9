"""The driver's own words; what it promises is in tests/contract/test_microvm.py."""

from pathlib import Path

import pytest

from runtimes.base import RuntimeFailure, Scope
from runtimes.cgroups import find_tree
from runtimes.microvm import Microvm
from runtimes.qemu import Qemu
from tests.contract.driver import Bench


async def test_without_what_it_needs_it_says_how_to_get_it(tmp_path: Path) -> None:
    found = await Microvm(tmp_path, tree=None).fingerprint()
    assert not found.works and found.why_not
    other = Microvm(tmp_path, tree=find_tree(), vmm=Qemu(Path("/bin/true")))
    assert not (await other.fingerprint()).works


async def test_it_keeps_memory_and_says_how_it_runs(microvm: Bench) -> None:
    can = microvm.driver.capabilities()
    assert Scope.FULL in can.scopes and can.isolation == 3 and can.by_request
    assert can.by_name == ("emulated" in can.keeps[0])


async def test_terms_name_what_an_image_needs(microvm: Bench) -> None:
    terms = microvm.driver.image_terms(microvm.spec())
    assert all(values and all(values) for values in terms.values())
    assert terms == microvm.driver.image_terms(microvm.spec(env={"OTHER": "env"}))
    other = microvm.driver.image_terms(microvm.spec(command=("sleep", "1")))
    assert [name for name in terms if terms[name] != other[name]] == ["sandbox"]


async def test_half_an_image_is_refused_by_name(microvm: Bench, tmp_path: Path) -> None:
    for name in ("state", "memory"):
        (tmp_path / name).touch()
    with pytest.raises(RuntimeFailure, match="files cannot be read"):
        await microvm.driver.restore(microvm.spec(), tmp_path)
