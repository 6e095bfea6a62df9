"""Certificates: the edge's TLS, chosen by the name a client asks for, exchanged while it runs."""

import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """PEM files: a chain that begins with the server's own certificate, and its key."""

    cert: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsSettings:
    pairs: tuple[Pair, ...]
    """The first one is for clients who ask for a name that none has, or for none."""
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    client_ca: Path | None = None
    client_certs: ssl.VerifyMode = ssl.CERT_NONE

    @property
    def files(self) -> tuple[Path, ...]:
        pairs = (file for pair in self.pairs for file in (pair.cert, pair.key))
        return (*pairs, *((self.client_ca,) if self.client_ca is not None else ()))


class Certificates:
    """`context` is for listeners and stays; each handshake takes what `load` made last."""

    def __init__(self, settings: TlsSettings) -> None:
        self._settings = settings
        self._default, self._by_name = _load(settings)
        self.context = _make(settings, settings.pairs[0])
        self.context.sni_callback = self._choose

    def __repr__(self) -> str:
        return f"<Certificates for {', '.join(self._by_name) or 'no name'}>"

    def load(self) -> None:
        """All files anew. Raises OSError or ValueError, and keeps what there was."""
        self._default, self._by_name = _load(self._settings)

    def _choose(self, handshake: ssl.SSLObject, name: str | None, _base: ssl.SSLContext) -> None:
        # Called without a name too, so a connection never gets what stands in `context` itself.
        handshake.context = self.chosen(name or "")

    def chosen(self, name: str) -> ssl.SSLContext:
        name = name.lower().rstrip(".")
        found = self._by_name.get(name)
        if found is None:
            # RFC 6125, section 6.4.3: the star stands for exactly one label, the leftmost.
            found = self._by_name.get("*." + name.partition(".")[2], self._default)
        return found


def _load(settings: TlsSettings) -> tuple[ssl.SSLContext, dict[str, ssl.SSLContext]]:
    by_name: dict[str, ssl.SSLContext] = {}
    contexts = []
    for pair in settings.pairs:
        context = _make(settings, pair)
        contexts.append(context)
        for name in _names(pair.cert):
            by_name.setdefault(name, context)
    return contexts[0], by_name


def _make(settings: TlsSettings, pair: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = settings.minimum
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.set_alpn_protocols(["http/1.1"])
    try:
        # A key that wants a password would else be asked for at the terminal.
        context.load_cert_chain(pair.cert, pair.key, password=lambda: b"")
    except ssl.SSLError as error:
        raise ValueError(f"{pair.cert} and {pair.key}: {_reason(error)}") from error
    except OSError as error:
        raise OSError(error.errno, f"{pair.cert}, {pair.key}: {error.strerror}") from error
    context.verify_mode = settings.client_certs
    if settings.client_ca is not None:
        try:
            context.load_verify_locations(settings.client_ca)
        except ssl.SSLError as error:
            raise ValueError(f"{settings.client_ca}: {_reason(error)}") from error
    return context


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "not PEM, or not what it should be").lower().replace("_", " ")


def _names(cert: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificate(cert.read_bytes())
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []  # the common name has not counted for a long time (RFC 9110, section 4.3.4)
    return [name.lower() for name in names.value.get_values_for_type(x509.DNSName)]
