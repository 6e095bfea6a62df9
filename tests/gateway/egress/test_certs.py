"""Certificates: a CA made once, leaves for one host each, minted once and off the loop."""

import asyncio
import ssl
import stat
import threading
from pathlib import Path

import pytest
import trustme
from cryptography import x509

from gateway.egress.certs import Authority, BadAuthority, make_authority
from tests.gateway.egress.world import running


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


async def test_what_trusts_one_workers_ca_trusts_the_leaves_of_all(tmp_path: Path) -> None:
    """An actor's memory, woken by another worker, holds the certificate of the former one."""
    from gateway.tls import Tls

    homes = [(tmp_path / name / "ca.crt", tmp_path / name / "ca.key") for name in "abc"]
    for home, seed in zip(homes, (b"s" * 32, b"s" * 32, b"t" * 32), strict=True):
        make_authority(*home, seed=seed)
    remembers = ssl.create_default_context(cafile=str(homes[0][0]))
    for number, is_good in ((1, True), (2, False)):
        leaf = Authority(*homes[number]).mint("a.test")
        client = Tls(remembers, server=False, hostname="a.test")
        server = Tls(leaf, server=True)
        client.start()
        server.feed(client.take())
        if not is_good:
            with pytest.raises(ssl.SSLCertVerificationError):
                client.feed(server.take())
            continue
        client.feed(server.take())
        assert client.is_ready


def test_a_ca_of_a_worker_that_was_alone_gives_way_to_the_shared_one(tmp_path: Path) -> None:
    cert, key = tmp_path / "ca.crt", tmp_path / "ca.key"
    make_authority(cert, key)
    alone = cert.read_bytes()
    make_authority(cert, key, seed=b"s" * 32)
    shared = cert.read_bytes()
    assert shared != alone
    make_authority(cert, key, seed=b"s" * 32)
    assert cert.read_bytes() == shared and stat.S_IMODE(key.stat().st_mode) == 0o600
    Authority(cert, key)


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


async def test_clients_show_a_certificate_of_the_root(tmp_path: Path) -> None:
    """`tls.root` of a listener that is opened with a certificate of its own."""
    ca, theirs = trustme.CA(), trustme.CA()
    leaf = ca.issue_cert("api.test")
    leaf.private_key_pem.write_to_path(str(tmp_path / "key"))
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "cert"))
    theirs.cert_pem.write_to_path(str(tmp_path / "root"))
    text = f"""
binds:
- {{port: 3128, tunnelProtocol: connect, listeners: []}}
- port: 443
  mode: internal
  listeners:
  - protocol: HTTPS
    tls: {{cert: {tmp_path}/cert, key: {tmp_path}/key, root: {tmp_path}/root,
           cipherSuites: [ECDHE-ECDSA-AES128-GCM-SHA256, ECDHE-RSA-AES128-GCM-SHA256],
           keyExchangeGroups: [P-256]}}
    routes: [{{hostnames: [api.test], policies: {{directResponse: {{status: 200, body: in}}}}}}]
"""
    async with running(tmp_path, text) as world:
        for issuer, is_in in ((theirs, True), (trustme.CA(), False), (None, False)):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            ca.configure_trust(context)
            if issuer is not None:
                issuer.issue_cert("client.test").configure_cert(context)
            talk = await world.connect("api.test:443")
            try:
                await talk.tls(context, "api.test")
                talk.say("GET / HTTP/1.1\r\nHost: api.test\r\n\r\n")
                status, _head, body = await talk.whole()
                assert is_in and (status, body) == (200, b"in")
            except (OSError, asyncio.IncompleteReadError):
                assert not is_in
            talk.close()
