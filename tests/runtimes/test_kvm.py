"""The processor's own word counts, not the node's."""

from pathlib import Path

import pytest

from runtimes import kvm


def test_without_the_node_it_says_so(tmp_path: Path) -> None:
    assert "No such file" in kvm.why_not(node=tmp_path / "kvm")


def test_a_node_that_is_no_kvm_makes_no_machine() -> None:
    assert "makes no machine" in kvm.why_not(node=Path("/dev/null"))


@pytest.mark.skipif(not kvm.NODE.exists(), reason="no /dev/kvm here to be doubted")
def test_a_processor_that_runs_no_guests_is_not_believed_the_node(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nflags\t\t: fpu sse2 hypervisor\n")
    assert kvm.why_not(cpuinfo=tmp_path / "cpuinfo")


def test_features_are_those_of_the_first_processor(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("model name\t: x\nflags\t\t: fpu vmx\nflags\t\t: svm\n")
    assert kvm.features(tmp_path / "cpuinfo") == {"fpu", "vmx"}
    assert kvm.features(tmp_path / "none") == set()
