"""The walk: it finds everything, in order, and is never led out of the directory."""

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lifecycle.snapshots.chunks import CHUNK_BYTES
from lifecycle.snapshots.tree import DEPTH_LIMIT, Found, TreeUnfit, read_pieces, walk


def found_in(root: Path) -> dict[bytes, Found]:
    return {found.path: found for found in walk(root)}


def contents(root: Path) -> dict[bytes, dict[int, bytes]]:
    return {f.path: dict(read_pieces(f)) for f in walk(root) if f.kind == "f"}


def test_a_directory_comes_before_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    (tmp_path / "b" / "c" / "file").write_text("x")
    (tmp_path / "a").write_text("y")
    order = [(f.path, f.kind) for f in walk(tmp_path)]
    assert order == [(b"", "d"), (b"a", "f"), (b"b", "d"), (b"b/c", "d"), (b"b/c/file", "f")]


def test_links_are_told_and_never_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "directory").symlink_to(outside)
    (root / "file").symlink_to(outside / "secret")
    (root / "nowhere").symlink_to("../../nowhere")
    found = found_in(root)
    assert {f.kind for path, f in found.items() if path} == {"l"}
    assert found[b"file"].target == os.fsencode(outside / "secret")
    assert contents(root) == {}


def test_a_file_exchanged_for_a_link_after_it_was_listed_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_text("first")
    (root / "b").write_text("second")
    seen = walk(root)
    assert [next(seen).path, next(seen).path] == [b"", b"a"]
    (root / "b").unlink()
    (root / "b").symlink_to(tmp_path / "secret")
    assert next(seen).kind == "l"


def test_odd_names_are_kept_as_bytes(tmp_path: Path) -> None:
    names = [b"\xff\xfe", b"new\nline", b"-rf", b" ", b"\xc3\xa4", b"...", b"x" * 255]
    for name in names:
        (Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))).write_bytes(name)
    assert contents(tmp_path) == {name: {0: name} for name in names}


def test_setuid_and_setgid_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("x")
    (tmp_path / "s").chmod(0o6755)
    (tmp_path / "d").mkdir()
    (tmp_path / "d").chmod(0o3777)
    found = found_in(tmp_path)
    assert (found[b"s"].mode, found[b"d"].mode) == (0o755, 0o1777)


def test_sockets_fifos_and_devices_are_told_apart(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "socket"))
        kinds = {path: f.kind for path, f in found_in(tmp_path).items() if path}
    assert kinds == {b"fifo": "other", b"socket": "other"}


def test_a_second_name_of_a_file_is_a_hard_link(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    os.link(tmp_path / "a", tmp_path / "b")
    found = found_in(tmp_path)
    assert (found[b"a"].kind, found[b"b"].kind, found[b"b"].target) == ("f", "h", b"a")


def test_holes_are_skipped_and_pieces_stand_at_their_offsets(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.seek(1 << 40)
        file.write(b"far")
        file.seek(3 * CHUNK_BYTES + 5)
        file.write(b"near")
    pieces = contents(tmp_path)[b"sparse"]
    assert sorted(pieces) == [3 * CHUNK_BYTES, 1 << 40]
    assert pieces[3 * CHUNK_BYTES][5:9] == b"near" and pieces[1 << 40] == b"far"


def test_zeros_that_were_written_are_a_hole_too(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(2 * CHUNK_BYTES) + b"end")
    assert contents(tmp_path)[b"zeros"] == {2 * CHUNK_BYTES: b"end"}


def test_a_file_that_grows_under_the_walk_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x")
    seen = walk(tmp_path)
    assert [next(seen).path, next(seen).path] == [b"", b"a"]
    with (tmp_path / "a").open("a") as file:
        file.write("more")
    with pytest.raises(TreeUnfit, match="'a' changed"):
        next(seen)


def test_a_file_that_shrinks_while_it_is_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * (2 * CHUNK_BYTES))
    seen = walk(tmp_path)
    next(seen)
    pieces = read_pieces(next(seen))
    next(pieces)
    os.truncate(tmp_path / "a", CHUNK_BYTES + 1)
    with pytest.raises(TreeUnfit, match="shorter"):
        next(pieces)
    with pytest.raises(TreeUnfit, match="changed"):
        next(seen)


def test_a_tree_too_deep_is_refused_and_no_descriptor_is_left(tmp_path: Path) -> None:
    deep = os.open(tmp_path, os.O_RDONLY)
    for _ in range(DEPTH_LIMIT + 1):
        os.mkdir("d", dir_fd=deep)
        below = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(TreeUnfit, match="deeper"):
        list(walk(tmp_path))
    assert len(os.listdir("/dev/fd")) == before


AS_NOBODY = """
import ctypes, os, sys
from pathlib import Path
from lifecycle.snapshots.tree import walk

entrance = os.open(sys.argv[1], os.O_RDONLY)
os.setresuid(65534, 65534, 65534)
# A process that changed its user may not look at its own /proc until it says so.
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
os.fchdir(entrance)
print({found.path: (found.kind, found.mode) for found in walk(Path("."))})
"""


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="needs root on Linux, to become nobody"
)
def test_rights_an_actor_took_from_itself_do_not_stop_the_walk(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir()
    (tmp_path / "shut" / "file").write_text("x")
    for path in (tmp_path / "shut" / "file", tmp_path / "shut"):
        path.chmod(0)
        os.chown(path, 65534, 65534)
    # Root may read everything anyway: the walk is made by somebody who may not.
    tmp_path.chmod(0o755)
    program = [sys.executable, "-c", AS_NOBODY, str(tmp_path)]
    said = subprocess.run(program, capture_output=True, text=True, check=True, timeout=30).stdout
    assert said.strip() == "{b'': ('d', 493), b'shut': ('d', 0), b'shut/file': ('f', 0)}"
    assert stat.S_IMODE((tmp_path / "shut").stat().st_mode) == 0
