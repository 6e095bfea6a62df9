"""What is in the root that all actors of a worker share."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from runtimes import rootfs


def test_the_root_has_links_accounts_and_no_secret(tmp_path: Path) -> None:
    place = tmp_path / "rootfs"
    rootfs.make(place)
    assert (place / "etc" / "passwd").read_text().count("\n") == 2
    for secret in ("shadow", "ssh", "hostname", "sudoers", "ssl/private"):
        assert not (place / "etc" / secret).exists()
    assert (place / "usr").is_dir() and not list((place / "usr").iterdir())


def test_made_once_it_stays_as_it_is_for_who_reads_it(tmp_path: Path) -> None:
    place = tmp_path / "rootfs"
    rootfs.make(place)
    (place / "seen").touch()
    rootfs.make(place)
    assert (place / "seen").exists() and list(tmp_path.iterdir()) == [place]


def test_made_by_many_at_once_it_is_whole(tmp_path: Path) -> None:
    place = tmp_path / "rootfs"
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(rootfs.make, [place] * 4))
    assert (place / "etc" / "hosts").exists() and list(tmp_path.iterdir()) == [place]


def test_the_hosts_programs_are_mounted_not_copied() -> None:
    assert rootfs.directories()[0] == Path("/usr")
