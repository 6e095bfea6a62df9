"""A driver tried for real, one that works and one that does not."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimes.ports import Ports
from runtimes.process import Process
from runtimes.trial import fails


@pytest.fixture
def ports() -> Iterator[Ports]:
    book = Ports()
    yield book
    book.close()


async def test_one_that_works_leaves_nothing(tmp_path: Path, ports: Ports) -> None:
    assert await fails(Process(tmp_path, tree=None, ports=ports), tmp_path) == ""
    assert os.listdir(tmp_path) == []


async def test_one_that_cannot_start_says_why(tmp_path: Path, ports: Ports) -> None:
    (tmp_path / "file").touch()
    driver = Process(tmp_path / "file" / "records", tree=None, ports=ports)
    assert "Not a directory" in await fails(driver, tmp_path)
    assert os.listdir(tmp_path) == ["file"]
