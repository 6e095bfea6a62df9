"""Certificates that rouse makes: its own CA once, and leaves for the hosts that are opened.

Minting is CPU work and file work, so the event loop never does it. All leaves of one authority
share one key: what distinguishes them is only the name, and a key costs more than a signature.
"""

import asyncio
import contextlib
import datetime
import ipaddress
import os
import ssl
import time
from collections import OrderedDict
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.egress.config.model import ListenerTls
from gateway.egress.hosts import BadHost, normalized

LEAF_DAYS = 7
"""Some clients refuse leaves that live for more than 398 days; ours need to outlive a day."""
_RENEW_S = 86400.0
_CA_DAYS = 3650
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of P-256 (SEC 2, section 2.4.2)."""
_EARLIER = datetime.timedelta(hours=1)
"""For clocks that are behind ours."""
MOST_LEAVES = 4096


class BadAuthority(ValueError):
    """A CA that can't sign; says which file, never what is in it."""


def make_authority(cert: Path, key: Path, seed: bytes | None = None) -> None:
    """Unless it is there. The key first and never readable by others; a certificate means both.

    `seed`: what all workers share. Their authorities have one key then, and memory of an actor that
    was woken elsewhere, which trusts the certificate of its former worker, trusts the next one's
    leaves: a certificate is known by its name and key, not by its bytes."""
    private = ec.generate_private_key(ec.SECP256R1()) if seed is None else _key_of(seed)
    if cert.exists() and (seed is None or _is_of(cert, private)):
        return
    cert.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rouse egress CA")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + datetime.timedelta(days=_CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(ca=True), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False
        )
        .sign(private, hashes.SHA256())
    )
    _write(key, _key_pem(private), 0o600)
    _write(cert, made.public_bytes(serialization.Encoding.PEM), 0o644)


def _key_of(seed: bytes) -> ec.EllipticCurvePrivateKey:
    """FIPS 186-5, A.2.1: 64 bits more than the order has, so that no key is likelier."""
    more = HKDF(hashes.SHA256(), length=40, salt=None, info=b"rouse egress CA").derive(seed)
    return ec.derive_private_key(int.from_bytes(more) % (_ORDER - 1) + 1, ec.SECP256R1())


def _is_of(cert: Path, private: ec.EllipticCurvePrivateKey) -> bool:
    """False too where another seed made it, or none: that worker was alone."""
    try:
        found = x509.load_pem_x509_certificate(cert.read_bytes()).public_key()
    except (ValueError, OSError):
        return False
    return found == private.public_key()


def _write(path: Path, data: bytes, mode: int) -> None:
    """Whole or not at all, and never for a moment with wider permissions."""
    beside = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    beside.rename(path)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


class Authority:
    """One CA and the leaves it signed. Raises BadAuthority, OSError when made."""

    def __init__(self, cert: Path, key: Path, tls: ListenerTls | None = None) -> None:
        self._tls = tls or ListenerTls(dynamic=True)
        try:
            self._cert = x509.load_pem_x509_certificate(cert.read_bytes())
            self._key = serialization.load_pem_private_key(key.read_bytes(), None)
        except (ValueError, TypeError) as error:
            raise BadAuthority(f"{cert} and {key} are no certificate and key") from error
        if not isinstance(self._key, ec.EllipticCurvePrivateKey | RSAPrivateKey):
            raise BadAuthority(f"{key} is no EC or RSA key")
        self._public = self._key.public_key()
        try:
            ca = self._cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        except x509.ExtensionNotFound:
            ca = False
        if not ca or self._cert.public_key() != self._key.public_key():
            raise BadAuthority(f"{cert} is no CA, or {key} is not its key")
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._chain = self._cert.public_bytes(serialization.Encoding.PEM)
        self._leaves: OrderedDict[str, tuple[ssl.SSLContext, float]] = OrderedDict()
        self._minting: dict[str, asyncio.Future[ssl.SSLContext]] = {}

    def __repr__(self) -> str:
        return f"<Authority {len(self._leaves)} leaves, {len(self._minting)} being made>"

    @property
    def pem(self) -> bytes:
        return self._chain

    def ready_leaf(self, host: str) -> ssl.SSLContext | None:
        """From the cache; None: ask `leaf`."""
        found = self._leaves.get(host)
        if found is None or time.monotonic() > found[1]:
            return None
        self._leaves.move_to_end(host)
        return found[0]

    async def leaf(self, host: str) -> ssl.SSLContext:
        """The context for a server that is `host`. One minting for all who want it at once; a
        caller that goes away takes nothing from the others."""
        ready = self.ready_leaf(host)
        if ready is not None:
            return ready
        making = self._minting.get(host)
        if making is None:
            making = asyncio.get_running_loop().run_in_executor(None, self.mint, host)
            self._minting[host] = making
            making.add_done_callback(lambda done: self._keep(host, done))
        return await asyncio.shield(making)

    def _keep(self, host: str, made: "asyncio.Future[ssl.SSLContext]") -> None:
        del self._minting[host]
        if made.cancelled() or made.exception() is not None:
            return
        self._leaves[host] = (made.result(), time.monotonic() + _RENEW_S)
        if len(self._leaves) > MOST_LEAVES:
            self._leaves.popitem(last=False)

    def mint(self, host: str) -> ssl.SSLContext:
        """Blocks. Sign a leaf and make the context that shows it."""
        now = datetime.datetime.now(datetime.UTC)
        until = min(now + datetime.timedelta(days=LEAF_DAYS), self._cert.not_valid_after_utc)
        common = host if len(host) <= 64 else "rouse egress"
        alternative: x509.GeneralName
        try:
            alternative = x509.IPAddress(ipaddress.ip_address(host))
        except ValueError:
            alternative = x509.DNSName(host)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]))
            .issuer_name(self._cert.subject)
            .public_key(self._leaf_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _EARLIER)
            .not_valid_after(until)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._public),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())  # type: ignore[arg-type]  # EC or RSA, checked above
        )
        # Without the CA: who trusts it has it, and a root in the chain is only bytes.
        pem = made.public_bytes(serialization.Encoding.PEM)
        context = server_context(self._tls, expected=host)
        load_pem(context, pem + _key_pem(self._leaf_key))
        return context


def server_context(tls: ListenerTls, *, expected: str | None = None) -> ssl.SSLContext:
    """`expected`: the host of CONNECT, which SNI must be where a client sends one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS.get(tls.min_version or "", ssl.TLSVersion.TLSv1_2)
    if tls.max_version is not None:
        context.maximum_version = _VERSIONS[tls.max_version]
    context.set_alpn_protocols(["http/1.1"])
    if tls.ciphers:
        context.set_ciphers(":".join(tls.ciphers))
    if tls.group is not None:
        context.set_ecdh_curve(tls.group)
    if tls.root is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(tls.root)
    # A resumed handshake of TLS 1.3 costs here what a whole one does, and tickets come on top.
    context.num_tickets = 0

    if expected is not None:

        def check(_object: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
            if name is None:
                return None
            try:
                is_same = normalized(name) == expected
            except BadHost:
                is_same = False
            return None if is_same else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME

        context.sni_callback = check
    return context


def load_pem(context: ssl.SSLContext, pem: bytes) -> None:
    """The ssl module reads certificates from files only: this one is memory and has no name."""
    if not hasattr(os, "memfd_create"):
        raise BadAuthority("interception needs Linux (memfd)")
    descriptor = os.memfd_create("rouse-leaf", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


_VERSIONS = {"TLS_V1_2": ssl.TLSVersion.TLSv1_2, "TLS_V1_3": ssl.TLSVersion.TLSv1_3}
