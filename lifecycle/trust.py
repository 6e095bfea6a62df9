"""Trust: where internal doors may listen, and the shared key that opens them. No I/O.

The one rule for admin API, worker RPC and door: on loopback or a unix socket the machine guards
them; anywhere else they do not start without a shared key.
"""

import hmac
import ipaddress
from dataclasses import dataclass

SHORTEST_KEY = 16
"""Characters; a key is made by a machine, not thought up."""


class Exposed(ValueError):
    """An internal address that others can reach, without a shared key."""


class BadAddress(ValueError):
    """Neither `host:port` nor `unix:/path`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where something listens: TCP host and port, or the path of a unix socket."""

    host: str = ""
    """Empty for a unix socket."""
    port: int = 0
    """0: the kernel chooses."""
    path: str = ""
    """Empty for TCP."""

    @classmethod
    def parse(cls, text: str) -> "Address":
        if text.startswith("unix:"):
            path = text.removeprefix("unix:")
            if not path.startswith("/") or "\0" in path:
                raise BadAddress(f"{text[:120]!r} is no unix socket: write unix:/absolute/path")
            return cls(path=path)
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
            raise BadAddress(
                f"{text[:120]!r} is no address: write host:port, [v6]:port or unix:/path"
            )
        if ":" in host and not bracketed:
            raise BadAddress(f"{text[:120]!r} is ambiguous: write [v6 address]:port")
        return cls(host=host[1:-1] if bracketed else host, port=int(port))

    @property
    def is_unix(self) -> bool:
        return bool(self.path)

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Is `host` this machine by its very form? Other names may resolve to anything: no."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_guarded(address: Address) -> bool:
    """Only this machine can reach it."""
    return address.is_unix or is_loopback(address.host)


def check_exposure(what: str, address: Address, key: str | None) -> None:
    """Raise Exposed when `what` would listen for others without a key."""
    if key is None and not is_guarded(address):
        raise Exposed(
            f"{what} {address} can be reached by others: give a shared key (shared_key_file), "
            "or listen on 127.0.0.1 or a unix socket"
        )


def check_key(key: str) -> str:
    """The key without the line end of its file. Raises ValueError; never says the key."""
    key = key.strip()
    if len(key) < SHORTEST_KEY:
        raise ValueError(f"the shared key has fewer than {SHORTEST_KEY} characters")
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the shared key has characters that a header cannot carry")
    return key


def is_bearer(authorization: str | None, key: str) -> bool:
    """Does this `Authorization` value carry the key? Takes the same time whichever byte differs."""
    scheme, _space, given = (authorization or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(
        given.strip().encode("utf-8", "surrogateescape"), key.encode()
    )
