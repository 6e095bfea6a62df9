"""What a sandbox is shown, as options; what it then sees is in tests/contract."""

from pathlib import Path

import pytest

from runtimes import view
from runtimes.base import RuntimeFailure


def test_an_outer_directory_comes_before_the_ones_in_it(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    options = view.read_only([inner, tmp_path], hidden=[])
    assert options == ["--ro-bind", *[str(tmp_path)] * 2, "--ro-bind", *[str(inner)] * 2]


def test_hidden_data_is_covered_where_it_would_show(tmp_path: Path) -> None:
    hidden = tmp_path / "state" / "rouse"
    hidden.mkdir(parents=True)
    options = view.read_only([tmp_path], hidden=[hidden, Path("/elsewhere")])
    assert options[3:] == ["--perms", "0700", "--size", "4096", "--tmpfs", str(hidden)]


def test_hidden_data_is_covered_under_the_name_it_is_shown_by(tmp_path: Path) -> None:
    (tmp_path / "real" / "rouse").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "real")
    options = view.read_only([link], hidden=[tmp_path / "real" / "rouse"])
    assert options[-1] == str(link / "rouse")


@pytest.mark.parametrize("shown", ["rouse", "rouse/driver"])
def test_hidden_data_itself_is_never_shown(tmp_path: Path, shown: str) -> None:
    (tmp_path / "rouse" / "driver").mkdir(parents=True)
    with pytest.raises(RuntimeFailure, match="rouse's own data"):
        view.read_only([tmp_path / shown], hidden=[tmp_path / "rouse"])


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeFailure, match="gone is not there"):
        view.read_only([tmp_path / "gone"], hidden=[])


def test_every_place_to_write_is_bounded() -> None:
    options = view.devices(1 << 20)
    for index in [i for i, option in enumerate(options) if option == "--tmpfs"]:
        assert options[index - 2 : index] == ["--size", str(1 << 20)]


def test_no_keys_or_accounts_of_the_host_are_shown() -> None:
    shown = {Path(option) for option in view.system() if option.startswith("/etc")}
    for secret in ("shadow", "passwd", "ssh", "ssl/private", "hostname", "environment", "sudoers"):
        assert not any(Path("/etc", secret).is_relative_to(place) for place in shown)


def test_an_image_is_shown_thing_by_thing_without_what_the_sandbox_has_itself(
    tmp_path: Path,
) -> None:
    for name in ("bin", "etc", "proc", "tmp", "var/tmp"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "lib").symlink_to("usr/lib")
    (tmp_path / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh")
    (tmp_path / "etc" / "app.conf").write_text("")
    assert view.image(tmp_path) == [
        *("--ro-bind", f"{tmp_path}/bin", "/bin"),
        *("--dir", "/etc"),
        *("--ro-bind", f"{tmp_path}/etc/app.conf", "/etc/app.conf"),
        *("--symlink", "usr/lib", "/lib"),
        *("--ro-bind", f"{tmp_path}/var", "/var"),
    ]
