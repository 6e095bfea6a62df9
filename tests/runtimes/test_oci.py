"""The bundle: what is mounted, and what may differ between two copies that share an image."""

from pathlib import Path
from typing import Any

from runtimes import oci
from runtimes.view import Shown


def bundle(data: str = "/host/1", env: str = "x", net: str = "/run/netns/1") -> dict[str, Any]:
    shown = [Shown(Path("/srv/real"), Path("/srv/app"), (Path("/srv/app/secret"),))]
    return oci.config(
        root=Path("/root"),
        command=["python3", "app.py"],
        env={"NAME": env},
        cwd="/srv/app",
        user=1000,
        mounts=oci.mounts(shown, {"/data": Path(data)}, Path("/about"), 1 << 20),
        netns=Path(net),
        limits={},
    )


def test_what_is_shown_is_read_only_and_what_is_hidden_is_covered_after_it() -> None:
    mounts = bundle()["mounts"]
    places = [mount["destination"] for mount in mounts]
    assert "ro" in mounts[places.index("/srv/app")]["options"]
    assert places.index("/srv/app") < places.index("/srv/app/secret")
    assert mounts[places.index("/srv/app/secret")]["type"] == "tmpfs"
    assert "rw" in mounts[places.index("/data")]["options"]


def test_every_place_to_write_is_bounded() -> None:
    bounded = [m for m in bundle()["mounts"] if m["destination"] in ("/tmp", "/dev/shm")]
    assert all(f"size={1 << 20}" in mount["options"] for mount in bounded) and len(bounded) == 2


def test_a_program_gets_no_capability_and_no_new_privilege() -> None:
    process = bundle()["process"]
    assert process["capabilities"] == {} and process["noNewPrivileges"]


def test_copies_of_one_template_share_an_image_whatever_their_files_and_names() -> None:
    other = bundle(data="/host/2", env="y", net="/run/netns/2")
    assert oci.comparable(other) == oci.comparable(bundle()) and other != bundle()


def test_another_command_or_mount_does_not() -> None:
    other = bundle()
    other["process"]["args"] = ["python3", "other.py"]
    assert oci.comparable(other) != oci.comparable(bundle())
    other = bundle()
    other["mounts"].pop()
    assert oci.comparable(other) != oci.comparable(bundle())
