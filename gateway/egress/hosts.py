"""Host names: how they are compared, and which patterns of a document cover them. No I/O."""

import functools
import ipaddress
import re

from lifecycle.strict import NotUnderstood

_NAME = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*"
    r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
)
_DIGITS = re.compile(r"(?:0x[0-9a-f]*|[0-9]+)(?:\.(?:0x[0-9a-f]*|[0-9]+)){0,3}")


class BadHost(ValueError):
    """Not a host that may stand in a request; the message is fit for the actor."""


@functools.lru_cache(maxsize=4096)
def normalized(host: str) -> str:
    """Lower case, without brackets and the root's dot; an address in its one canonical form.

    Raises BadHost. What a resolver might read as an address though it does not look like one
    (`0x7f.1`, `2130706433`, `017700000001`) is refused: two readers would reach two places."""
    text = host.lower()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
        if ":" not in text:
            raise BadHost("brackets are for IPv6 addresses")
    elif text.endswith("."):
        text = text[:-1]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        if _NAME.fullmatch(text) is None or _DIGITS.fullmatch(text) is not None:
            raise BadHost(f"{host[:80]!r} is no host name") from None
        return text
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise BadHost("an address with a zone is only known to its own machine")
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
    return str(address)


def split_port(authority: str, default: int) -> tuple[str, int]:
    """(normalized host, port). Raises BadHost."""
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        return normalized(authority), default
    if ":" in host and not host.startswith("["):
        raise BadHost("an IPv6 address stands in brackets")
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) < 65536:
        raise BadHost(f"{port[:10]!r} is no port")
    return normalized(host), int(port)


def check_pattern(pattern: str, path: str) -> str:
    """`name`, an address, or `*.name`. Raises NotUnderstood."""
    wild, rest = pattern.startswith("*."), pattern.removeprefix("*.")
    try:
        return ("*." if wild else "") + normalized(rest)
    except BadHost as error:
        raise NotUnderstood(path, str(error)) from error


def rank(patterns: tuple[str, ...], host: str) -> int | None:
    """How well the best pattern covers `host`: exact > longest wildcard > no patterns at all (0);
    None: not covered. `*.x` covers any number of labels before x."""
    if not patterns:
        return 0
    best: int | None = None
    for pattern in patterns:
        if pattern == host:
            return 1000
        if pattern.startswith("*.") and host.endswith(pattern[1:]) and len(host) > len(pattern) - 1:
            best = max(best or 0, len(pattern))
    return best


def covers(patterns: tuple[str, ...], host: str) -> bool:
    return rank(patterns, host) is not None
