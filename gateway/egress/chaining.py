"""The way to a backend when it is not straight: by an HTTP proxy upstream of us (`backendTunnel`),
with deadlines and probes of its own, to a certificate for other names. No I/O.

What goes by TLS goes through a CONNECT; what is plain is asked for by its absolute URL, and the
proxy's key goes with each request.
"""

import base64
from typing import TYPE_CHECKING

from gateway.egress import heads
from gateway.egress.config.model import Backend, Chain
from gateway.egress.credentials.secrets import SecretUnavailable, unavailable
from gateway.egress.upstream import STRAIGHT, Way

if TYPE_CHECKING:
    from gateway.egress.ask import Fields
    from gateway.egress.credentials.secrets import Secrets


def way_to(backend: Backend, host: str, port: int, secrets: "Secrets", *, tls: bool) -> Way:
    """Raises Refusal, when the proxy's key is not there."""
    chain, names = backend.chain, () if backend.tls is None else backend.tls.alt_names
    if chain is None:
        is_plain = not names and backend.unix is None and not backend.http2
        if is_plain and backend.tcp is STRAIGHT.tcp:
            return STRAIGHT
        return Way(tcp=backend.tcp, names=names, unix=backend.unix, http2=backend.http2)
    tunnel = b""
    if tls:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        lines = [f"CONNECT {where} HTTP/1.1", f"host: {where}"]
        lines += [f"{name}: {value}" for name, value in _key(chain, secrets)]
        tunnel = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return Way(
        tcp=backend.tcp,
        names=names,
        http2=backend.http2,
        proxy=(chain.host, chain.port),
        tunnel=tunnel,
    )


def plain(
    chain: Chain, fields: "Fields", authority: str, target: str, secrets: "Secrets"
) -> "tuple[Fields, str]":
    """A request in the clear, as a proxy wants it. Raises Refusal."""
    for name, value in _key(chain, secrets):
        fields = heads.set_field(fields, name, value)
    return fields, f"http://{authority}{target}"


def _key(chain: Chain, secrets: "Secrets") -> "Fields":
    found: Fields = []
    for credential in chain.credentials[:1]:
        try:
            secret = secrets.value(credential.source)
        except SecretUnavailable as error:
            raise unavailable(credential.name, error) from None
        value = credential.location.prefix + secret
        if ":" in secret and " " not in secret:
            # `user:password`, as one writes it into a proxy's URL.
            value = "Basic " + base64.b64encode(secret.encode()).decode()
        found.append(("proxy-authorization", heads.check_value(value)))
    return found
