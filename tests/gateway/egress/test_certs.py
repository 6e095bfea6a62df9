"""Certificates: a CA made once, leaves for one host each, minted once and off the loop."""

import asyncio
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509

from gateway.egress.certs import Authority, BadAuthority, make_authority


@pytest.fixture
def ours(tmp_path: Path) -> tuple[Path, Path]:
    paths = (tmp_path / "ca" / "ca.crt", tmp_path / "ca" / "ca.key")
    make_authority(*paths)
    return paths


def test_a_ca_is_made_once_and_its_key_is_for_nobody_else(ours: tuple[Path, Path]) -> None:
    before = ours[0].read_bytes()
    make_authority(*ours)
    assert ours[0].read_bytes() == before
    assert stat.S_IMODE(ours[1].stat().st_mode) == 0o600
    made = x509.load_pem_x509_certificate(before)
    assert made.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


@pytest.mark.parametrize("host", ["a.test", "192.0.2.1", "2001:db8::1", "a" * 60 + ".b.c.d.test"])
def test_a_leaf_verifies_for_its_host_alone(ours: tuple[Path, Path], host: str) -> None:
    from gateway.tls import Tls

    context = Authority(*ours).mint(host)
    for name, good in ((host, True), ("other.test", False)):
        client = Tls(ssl.create_default_context(cafile=str(ours[0])), server=False, hostname=name)
        server = Tls(context, server=True)
        client.start()
        try:
            for _ in range(3):
                server.feed(client.take())
                client.feed(server.take())
        except ssl.SSLError:
            assert not good
        else:
            assert good and client.is_ready


async def test_one_minting_serves_all_who_wait_and_a_leaver_takes_nothing(
    ours: tuple[Path, Path],
) -> None:
    authority = Authority(*ours)
    minted: list[int] = []
    mint, gate = authority.mint, threading.Event()

    def slow(host: str) -> ssl.SSLContext:
        gate.wait(10)
        minted.append(threading.get_ident())
        return mint(host)

    authority.mint = slow  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(authority.leaf("a.test")) for _ in range(5)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        gate.set()
        made = await asyncio.gather(*waiting[1:])
    assert len(minted) == 1 and minted[0] != threading.get_ident()
    assert len(set(map(id, made))) == 1 and authority.ready_leaf("a.test") is made[0]


def test_what_is_no_ca_is_refused(ours: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(BadAuthority, match="no certificate and key"):
        Authority(ours[1], ours[0])
    make_authority(tmp_path / "x.crt", tmp_path / "x.key")
    with pytest.raises(BadAuthority, match="not its key"):
        Authority(ours[0], tmp_path / "x.key")
