"""OCI layouts: which image is meant, and that every document is the one whose digest was named."""

import tarfile
from pathlib import Path

import pytest

from runtimes.layout import ImageRefused, Layout
from tests.oci_layout import file, layout, tar

CONFIG = {"Entrypoint": ["/a"], "Cmd": ["b"], "Env": ["X=1=2"], "User": "u", "WorkingDir": "/w"}


def test_a_directory_and_a_tar_of_it_are_the_same_image(tmp_path: Path) -> None:
    place = layout(tmp_path / "image", [tar(file("a"))], config=CONFIG)
    with tarfile.open(tmp_path / "image.tar", "w") as out:
        out.add(place, arcname=".")
    found = []
    for path in (place, tmp_path / "image.tar"):
        opened = Layout(path)
        found.append(opened.image())
        with opened.open(found[0].layers[0].digest) as blob:
            assert blob.read(2) == b"\x1f\x8b"
        opened.close()
    assert found[0] == found[1]
    config = found[0].config
    assert (config.entrypoint, config.command, config.env) == (("/a",), ("b",), {"X": "1=2"})
    assert (config.user, config.working_dir) == ("u", "/w")


def test_what_is_damaged_or_of_another_machine_is_refused(tmp_path: Path) -> None:
    other = layout(tmp_path / "other", [tar(file("a"))], architecture="vax")
    with pytest.raises(ImageRefused, match="no image for linux"):
        Layout(other).image()
    place = layout(tmp_path / "image", [tar(file("a"))])
    digest = Layout(place).image().digest.removeprefix("sha256:")
    blob = place / "blobs" / "sha256" / digest
    blob.write_bytes(blob.read_bytes().replace(b"2", b"3", 1))
    with pytest.raises(ImageRefused, match="damaged"):
        Layout(place).image()
    blob.unlink()
    with pytest.raises(ImageRefused, match="No such file"):
        Layout(place).image()
    with pytest.raises(ImageRefused, match="no sha256"):
        Layout(place).open("sha256:../../../../etc/passwd")
    for index in ("[]", '{"manifests": ["x", {"platform": 1}]}', '{"manifests": [{"digest": 5}]}'):
        (place / "index.json").write_text(index)
        with pytest.raises(ImageRefused):
            Layout(place).image()
    (tmp_path / "text").write_text("no tar")
    with pytest.raises(ImageRefused, match="no tar"):
        Layout(tmp_path / "text")
    with pytest.raises(ImageRefused, match=r"index\.json"):
        Layout(tmp_path / "none").image()
