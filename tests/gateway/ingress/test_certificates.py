"""TLS at the edge with real handshakes; the certificates are made by trustme."""

import asyncio
import os
import ssl
from pathlib import Path

import pytest
import trustme

from gateway.ingress.certificates import Certificates, Pair, TlsSettings
from gateway.ingress.server import Listen
from gateway.ingress.watched import WatchedFiles
from tests.gateway.ingress.support import (
    SCALE,
    FakeUsher,
    Running,
    actor,
    echo,
    field_of,
    read_answer,
    read_head,
    running,
)

CA = trustme.CA()
NAME = "a1.demo.actors.example"
GET = b"GET / HTTP/1.1\r\nHost: a1.demo.actors.localhost\r\n\r\n"


def write(pair: Pair, *names: str) -> Pair:
    made = CA.issue_cert(*names)
    for path, blobs in ((pair.cert, made.cert_chain_pems), (pair.key, [made.private_key_pem])):
        new = path.with_suffix(".new")
        new.write_bytes(b"".join(blob.bytes() for blob in blobs))
        os.replace(new, path)
    return pair


def pair(directory: Path, label: str, *names: str) -> Pair:
    return write(Pair(cert=directory / f"{label}.pem", key=directory / f"{label}.key"), *names)


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


def listening(certificates: Certificates) -> Listen:
    return Listen(tls=certificates.context)


async def served(relay: Running, name: str, context: ssl.SSLContext | None = None) -> set[str]:
    """The names in the certificate that a client who asks for `name` is shown."""
    async with asyncio.timeout(SCALE):
        _, writer = await asyncio.open_connection(
            "127.0.0.1", relay.port, ssl=context or trusting(), server_hostname=name
        )
        shown = writer.get_extra_info("peercert")
        writer.close()
        await writer.wait_closed()
    return {value for _kind, value in shown["subjectAltName"]}


async def test_a_request_over_tls_reaches_the_actor_as_https(tmp_path: Path) -> None:
    certificates = Certificates(TlsSettings(pairs=(pair(tmp_path, "a", NAME),)))
    async with actor(echo) as port:
        async with running(FakeUsher(port=port), listen=listening(certificates)) as relay:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", relay.port, ssl=trusting(), server_hostname=NAME
            )
            body = b"x" * 300_000
            text = GET[:-2] + b"X-Forwarded-Proto: http\r\nContent-Length: %d\r\n\r\n" % len(body)
            writer.write(text + body)
            status, _, answer = await read_answer(reader)
            assert status == 200 and answer.endswith(body)
            assert field_of(answer.partition(b"\r\n\r\n")[0], "x-forwarded-proto") == "https"
            assert field_of(answer.partition(b"\r\n\r\n")[0], "x-forwarded-for") == "127.0.0.1"
            writer.write(GET)  # the connection is kept
            assert (await read_answer(reader))[0] == 200
            writer.close()
            await writer.wait_closed()


async def test_a_refused_request_gets_its_whole_answer_over_tls(tmp_path: Path) -> None:
    certificates = Certificates(TlsSettings(pairs=(pair(tmp_path, "a", NAME),)))
    async with running(FakeUsher(), listen=listening(certificates)) as relay:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", relay.port, ssl=trusting(), server_hostname=NAME
        )
        writer.write(b"nonsense\r\n\r\n")
        status, head, _ = await read_answer(reader)
        assert status == 400 and field_of(head, "connection") == "close"
        writer.close()
        await writer.wait_closed()


async def test_an_upgrade_ends_on_both_sides_when_the_actor_ends_its_half(tmp_path: Path) -> None:
    async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: raw\r\n\r\nhello")
        writer.write_eof()
        await reader.read()

    certificates = Certificates(TlsSettings(pairs=(pair(tmp_path, "a", NAME),)))
    async with actor(upgraded) as port:
        async with running(FakeUsher(port=port), listen=listening(certificates)) as relay:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", relay.port, ssl=trusting(), server_hostname=NAME
            )
            writer.write(GET[:-2] + b"Connection: upgrade\r\nUpgrade: raw\r\n\r\n")
            async with asyncio.timeout(SCALE):
                assert (await reader.read()).endswith(b"\r\n\r\nhello")
            writer.close()
            await writer.wait_closed()


async def test_certificates_are_chosen_by_name(tmp_path: Path) -> None:
    wild, exact = "*.demo.actors.example", "b1.demo.actors.example"
    pairs = (
        pair(tmp_path, "edge", "edge.example"),
        pair(tmp_path, "demo", wild),
        pair(tmp_path, "b1", exact),
    )
    certificates = Certificates(TlsSettings(pairs=pairs))
    assert repr(certificates) == f"<Certificates for edge.example, {wild}, {exact}>"
    async with running(FakeUsher(), listen=listening(certificates)) as relay:
        assert await served(relay, "a1.demo.actors.example") == {wild}
        assert await served(relay, "A1.Demo.actors.example") == {wild}
        assert await served(relay, exact) == {exact}
        lax = trusting()
        lax.check_hostname = False
        # A star is one label; and who asks for no name of ours gets the first.
        for name in ("x.a1.demo.actors.example", "demo.actors.example", "else.where"):
            assert await served(relay, name, lax) == {"edge.example"}


async def test_changed_files_serve_new_handshakes_and_bad_ones_do_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    given = pair(tmp_path, "a", NAME, "old.example")
    certificates = Certificates(TlsSettings(pairs=(given,)))
    watched = WatchedFiles((given.cert, given.key), certificates.load)
    watched.load()
    async with running(FakeUsher(), listen=listening(certificates)) as relay:
        assert await served(relay, NAME) == {NAME, "old.example"}
        write(given, NAME, "new.example")
        assert watched.look()
        assert await served(relay, NAME) == {NAME, "new.example"}
        given.key.write_bytes(given.key.read_bytes()[:100])
        assert not watched.look()
        given.cert.write_text("nonsense")
        assert not watched.look()
        assert await served(relay, NAME) == {NAME, "new.example"}
        write(given, NAME, "third.example")
        assert watched.look()
        assert await served(relay, NAME) == {NAME, "third.example"}
    assert [r.levelname for r in caplog.records if "can't be used" in r.message] == ["WARNING"] * 2


async def test_old_tls_and_plain_http_get_no_further_than_the_handshake(tmp_path: Path) -> None:
    settings = TlsSettings(pairs=(pair(tmp_path, "a", NAME),), minimum=ssl.TLSVersion.TLSv1_3)
    async with running(FakeUsher(), listen=listening(Certificates(settings))) as relay:
        old = trusting()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await served(relay, NAME, old)
        assert await served(relay, NAME) == {NAME}
        try:
            answer = await relay.talk(GET)
        except ConnectionError:
            answer = b""
        assert not answer.startswith(b"HTTP/")


async def test_client_certificates_are_wanted_where_the_settings_say_so(tmp_path: Path) -> None:
    theirs = trustme.CA()
    ca = tmp_path / "clients.pem"
    theirs.cert_pem.write_to_path(ca)
    known, foreign = theirs.issue_cert("ann@example.com"), CA.issue_cert("eve@example.com")
    for verify in (ssl.CERT_OPTIONAL, ssl.CERT_REQUIRED):
        settings = TlsSettings(
            pairs=(pair(tmp_path, "a", NAME),), client_ca=ca, client_certs=verify
        )
        async with actor(echo) as port:
            usher = FakeUsher(port=port)
            async with running(usher, listen=listening(Certificates(settings))) as relay:
                assert await _ask(relay, known) == 200
                assert await _ask(relay, None) == (200 if verify is ssl.CERT_OPTIONAL else 0)
                assert await _ask(relay, foreign) == 0


async def _ask(relay: Running, cert: trustme.LeafCert | None) -> int:
    """The status, or 0 when TLS let nothing through."""
    context = trusting()
    if cert is not None:
        cert.configure_cert(context)
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", relay.port, ssl=context, server_hostname=NAME
        )
        try:
            writer.write(GET)
            return (await read_answer(reader))[0]
        finally:
            writer.close()
    except (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError):
        return 0


@pytest.mark.parametrize("what", ["foreign key", "encrypted key", "no key", "empty", "bad ca"])
def test_what_can_not_be_used_is_said_at_the_start(tmp_path: Path, what: str) -> None:
    given = pair(tmp_path, "a", NAME)
    settings = TlsSettings(pairs=(given,))
    if what == "foreign key":
        given.key.write_bytes(pair(tmp_path, "b", NAME).key.read_bytes())
    elif what == "encrypted key":
        given.key.write_bytes(_encrypted(given.key.read_bytes()))
    elif what == "no key":
        given.key.unlink()
    elif what == "empty":
        given.cert.write_bytes(b"")
    else:
        settings = TlsSettings(pairs=(given,), client_ca=given.key, client_certs=ssl.CERT_REQUIRED)
    with pytest.raises((OSError, ValueError), match=r"a\.(pem|key)") as caught:
        Certificates(settings)
    assert "PRIVATE" not in str(caught.value)


def _encrypted(pem: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization as s

    key = s.load_pem_private_key(pem, None)
    return key.private_bytes(
        s.Encoding.PEM, s.PrivateFormat.PKCS8, s.BestAvailableEncryption(b"password")
    )
