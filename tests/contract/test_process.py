"""The driver's contract, kept by `process`: with a cgroup, and by signals alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimes.base import Driver
from runtimes.cgroups import find_tree
from runtimes.ports import Ports
from runtimes.process import Process
from tests.contract.driver import DriverContract


class WithPorts(DriverContract):
    @pytest.fixture(autouse=True)
    def ports(self) -> Iterator[None]:
        self.book = Ports()
        yield
        self.book.close()


class TestProcess(WithPorts):
    def make(self, root: Path) -> Driver:
        tree = find_tree()
        if tree is None:
            pytest.skip("no writable cgroup2 here")
        return Process(root, tree=tree, ports=self.book)


class TestProcessBySignals(WithPorts):
    def make(self, root: Path) -> Driver:
        return Process(root, tree=None, ports=self.book)
