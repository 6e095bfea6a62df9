"""What `bubblewrap` says of itself; what it does is in tests/contract/test_bubblewrap.py."""

from pathlib import Path

from runtimes.bubblewrap import Bubblewrap
from runtimes.ports import Ports


def made(root: Path, *, privileged: bool) -> Bubblewrap:
    return Bubblewrap(root, tree=None, ports=Ports(), privileged=privileged)


def test_a_shared_network_is_said(tmp_path: Path) -> None:
    able = made(tmp_path, privileged=False).capabilities()
    assert not able.own_network
    assert any("shares the host's network" in words for words in able.keeps)
    assert made(tmp_path, privileged=True).capabilities().own_network


async def test_a_fingerprint_leaves_nothing_and_is_kept(tmp_path: Path) -> None:
    driver = made(tmp_path / "driver", privileged=False)
    found = await driver.fingerprint()
    assert found.works or found.why_not
    assert await driver.fingerprint() is found
    assert not (tmp_path / "driver").exists() or list((tmp_path / "driver").iterdir()) == []
