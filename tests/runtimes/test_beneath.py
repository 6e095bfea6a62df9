"""Nothing in a directory leads out of it."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtimes.beneath import open_beneath


@pytest.fixture
def root(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "root" / "in").mkdir(parents=True)
    (tmp_path / "root" / "in" / "file").write_text("inside")
    (tmp_path / "secret").write_text("outside")
    (tmp_path / "root" / "up").symlink_to("..")
    (tmp_path / "root" / "to").symlink_to(tmp_path / "secret")
    (tmp_path / "root" / "self").symlink_to("in/file")
    made = os.open(tmp_path / "root", os.O_RDONLY | os.O_DIRECTORY)
    yield made
    os.close(made)


def test_a_file_below_is_opened(root: int) -> None:
    file = open_beneath(root, b"in/file", os.O_RDONLY)
    assert os.read(file, 20) == b"inside"
    os.close(file)


@pytest.mark.parametrize("path", [b"../secret", b"in/../../secret", b"/etc/passwd"])
def test_no_path_leads_up_or_away(root: int, path: bytes) -> None:
    with pytest.raises(OSError) as refused:
        open_beneath(root, path, os.O_RDONLY)
    assert refused.value.errno == errno.EXDEV


@pytest.mark.parametrize("path", [b"up/secret", b"to", b"self"])
def test_no_link_is_followed(root: int, path: bytes) -> None:
    with pytest.raises(OSError) as refused:
        open_beneath(root, path, os.O_RDONLY)
    assert refused.value.errno == errno.ELOOP


def test_a_link_itself_can_be_held(root: int) -> None:
    link = open_beneath(root, b"to", os.O_PATH | os.O_NOFOLLOW)
    assert os.readlink(b"", dir_fd=link).endswith(b"secret")
    os.close(link)
