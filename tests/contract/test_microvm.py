"""The driver's contract, kept by `microvm` with QEMU, emulated where the processor runs no guests;
and what a machine of its own promises beyond it."""

import os
from pathlib import Path

import pytest

from runtimes.base import Driver
from runtimes.cgroups import find_tree
from runtimes.microvm import Microvm
from tests.contract.driver import Bench, DriverContract


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network for each actor")
class TestMicrovm(DriverContract):
    rounds = 4
    """Of hundreds: an emulated machine takes a second to come up."""

    def make(self, root: Path) -> Driver:
        return Microvm(root, tree=find_tree())
