"""The seam holds for both monitors; what they do is in their own tests."""

from runtimes.firecracker import Firecracker
from runtimes.qemu import Qemu
from runtimes.vmm import COMMAND_LINE, MEMORY, STATE, Vmm


def test_both_monitors_are_ones() -> None:
    monitors: list[Vmm] = [Qemu(), Firecracker()]
    assert [each.name for each in monitors] == ["qemu", "firecracker"]


def test_an_images_files_have_names_of_their_own() -> None:
    assert len({STATE, MEMORY}) == 2
    # What was freed must not be in an image, nor a guest that fell wait for a person.
    assert {"init_on_free=1", "panic=-1"} <= set(COMMAND_LINE.split())
