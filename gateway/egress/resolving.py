"""Names: resolved once, by us, and every address judged before anything is connected to it."""

import asyncio
import ipaddress
import socket
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable

from gateway.egress import addresses
from gateway.egress.addresses import Network
from gateway.egress.refusals import Refusal, Refused

Lookup = Callable[[str], Awaitable[list[str]]]
"""A name's addresses. Raises OSError."""
_KEPT_S = 5.0
_MOST = 10_000
_BUDGET_S = 5.0


async def system_lookup(host: str) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Names:
    """Keeps answers for seconds: long enough for a burst, too short to be a second DNS."""

    def __init__(self, lookup: Lookup = system_lookup) -> None:
        self._lookup = lookup
        self._kept: OrderedDict[str, tuple[tuple[str, ...], float]] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Names {len(self._kept)} kept>"

    async def reach(
        self, host: str, *, private: Iterable[Network] = (), is_named: bool = False
    ) -> tuple[str, ...]:
        """The addresses of `host` that may be connected to. Raises Refusal.

        `is_named`: the document says this very host, so wherever it is, it is meant."""
        return judged(host, await self._addresses(host), private, is_named=is_named)

    def known(
        self, host: str, *, private: Iterable[Network] = (), is_named: bool = False
    ) -> tuple[str, ...] | None:
        """The same without waiting, where nothing has to be asked; else None. Raises Refusal."""
        found = _literal(host)
        if found is None:
            kept = self._kept.get(host)
            if kept is None or time.monotonic() >= kept[1]:
                return None
            found = kept[0]
        return judged(host, found, private, is_named=is_named)

    async def _addresses(self, host: str) -> tuple[str, ...]:
        literal = _literal(host)
        if literal is not None:
            return literal
        now = time.monotonic()
        kept = self._kept.get(host)
        if kept is not None and now < kept[1]:
            return kept[0]
        try:
            async with asyncio.timeout(_BUDGET_S):
                found = tuple(await self._lookup(host))
        except TimeoutError as error:
            raise Refusal(Refused.DNS, f"{host} was not resolved in {_BUDGET_S:g} s") from error
        except (OSError, UnicodeError) as error:
            raise Refusal(Refused.DNS, f"{host} has no address") from error
        if not found:
            raise Refusal(Refused.DNS, f"{host} has no address")
        self._kept[host] = (found, now + _KEPT_S)
        self._kept.move_to_end(host)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        return found


def check_literal(host: str, private: Iterable[Network], *, is_named: bool) -> None:
    """Where somebody else resolves names: an address is judged all the same. Raises Refusal."""
    found = _literal(host)
    if found is not None:
        judged(host, found, private, is_named=is_named)


def judged(
    host: str, found: tuple[str, ...], private: Iterable[Network], *, is_named: bool
) -> tuple[str, ...]:
    """Those that may be connected to. Raises Refusal when none may."""
    if is_named:
        return found
    named = tuple(private)
    why: str | None = None
    good = []
    for text in found:
        refused = addresses.why_refused(addresses.read(text), named)
        if refused is None:
            good.append(text)
        else:
            why = refused
    if not good:
        raise Refusal(Refused.FORBIDDEN, f"{host}: {why}, which this policy does not name")
    return tuple(good)


def _literal(host: str) -> tuple[str, ...] | None:
    if ":" not in host and not host[-1:].isdigit():
        return None
    try:
        return (str(ipaddress.ip_address(host)),)
    except ValueError:
        return None
