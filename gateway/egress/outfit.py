"""What an actor's program finds: the variables by which clients learn of the proxy and of its CA,
and the files they name. Each variable is one that a real client was seen to read (docs/egress.md).
"""

import os
import re
import ssl
import warnings
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509

BUNDLE, OURS, JAVA = "ca-bundle.pem", "ca.pem", "ca-bundle.p12"
NO_PROXY = "localhost,127.0.0.1,::1"


def variables(proxy_host: str, proxy_port: int, token: str, shown: Path) -> dict[str, str]:
    """`shown`: the directory of the files, as the program sees it. `token` is empty in a network of
    the actor's own, where the socket says who it is: memory that is woken later still knows this
    way out, and a token of then would be nobody's."""
    who, path = (f"actor:{token}@", f"/~{token}") if token else ("", "")
    proxy = f"http://{who}{proxy_host}:{proxy_port}"
    bundle, ours = str(shown / BUNDLE), str(shown / OURS)
    java = [
        f"-Djavax.net.ssl.trustStore={shown / JAVA}",
        "-Djavax.net.ssl.trustStoreType=PKCS12",
        "-Djavax.net.ssl.trustStorePassword=changeit",
        *(f"-D{scheme}.proxyHost={proxy_host}" for scheme in ("http", "https")),
        *(f"-D{scheme}.proxyPort={proxy_port}" for scheme in ("http", "https")),
    ]
    return {
        "ROUSE_EGRESS_URL": f"http://{proxy_host}:{proxy_port}{path}",
        **dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"), proxy),
        **dict.fromkeys(("ALL_PROXY", "all_proxy"), proxy),
        **dict.fromkeys(("NO_PROXY", "no_proxy"), NO_PROXY),
        **dict.fromkeys(
            (
                "SSL_CERT_FILE",  # OpenSSL, Python's ssl and httpx, Go, Ruby
                "CURL_CA_BUNDLE",
                "REQUESTS_CA_BUNDLE",
                "PIP_CERT",
                "GIT_SSL_CAINFO",
                "NPM_CONFIG_CAFILE",
                "npm_config_cafile",
                "AWS_CA_BUNDLE",
                "CARGO_HTTP_CAINFO",
                "DENO_CERT",
            ),
            bundle,
        ),
        "NODE_EXTRA_CA_CERTS": ours,
        "NODE_USE_ENV_PROXY": "1",  # Node 22.21 and 24; older ones need an agent of their own
        "JAVA_TOOL_OPTIONS": " ".join(java),
    }


def write_files(directory: Path, pems: Iterable[bytes]) -> None:
    """Blocks. The system's roots and ours: hosts that are passed through show their own."""
    from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

    directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    ours = b"".join(dict.fromkeys(pems))
    system = _system_roots()
    certificates = _certificates(ours + system)
    write_file(directory / OURS, ours)
    write_file(directory / BUNDLE, ours + system)
    if certificates:
        named = [
            pkcs12.PKCS12Certificate(each, f"ca-{number}".encode())
            for number, each in enumerate(certificates)
        ]
        store = pkcs12.serialize_java_truststore(named, NoEncryption())
        write_file(directory / JAVA, store)


_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)


def _certificates(pem: bytes) -> list[x509.Certificate]:
    """One by one: some system has a root that breaks RFC 5280, which must not cost the others."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in _PEM.findall(pem):
            try:
                found.append(x509.load_pem_x509_certificate(each))
            except ValueError:
                continue
    return found


def _system_roots() -> bytes:
    paths = ssl.get_default_verify_paths()
    for path in (paths.cafile, paths.openssl_cafile, "/etc/ssl/certs/ca-certificates.crt"):
        if path and os.path.isfile(path):
            return Path(path).read_bytes()
    return b""


def write_file(path: Path, data: bytes) -> None:
    """In one step: a program that starts now reads the old file or the new one. The inode changes,
    and a sandbox sees it, since what it is shown is the directory."""
    beside = path.with_name(f".{path.name}.new")
    beside.write_bytes(data)
    beside.chmod(0o644)
    beside.replace(path)
