"""The files of an image; what is in them only a sandbox knows (tests/contract/test_gvisor.py)."""

import os
from pathlib import Path

import pytest

from runtimes import images
from runtimes.base import RuntimeFailure


def test_an_image_is_written_to_new_files_and_read_from_the_same(tmp_path: Path) -> None:
    with images.fresh(tmp_path) as files:
        for file in files:
            os.write(file, b"x")
    with images.opened(tmp_path) as files:
        assert [os.read(file, 9) for file in files] == [b"x"] * 3
    with pytest.raises(FileExistsError), images.fresh(tmp_path):
        pass


def test_an_image_that_lacks_a_file_is_refused_and_leaks_nothing(tmp_path: Path) -> None:
    (tmp_path / images.STATE).touch()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(RuntimeFailure, match=images.PAGES_INDEX), images.opened(tmp_path):
        pass
    assert len(os.listdir("/proc/self/fd")) == before
