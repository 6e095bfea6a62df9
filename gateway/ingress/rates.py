"""Rates: how many requests one client address may begin. No I/O; the time is an argument.

A token bucket per address, the longest unused forgotten first: many addresses can make a busy one
start with a full bucket again, but never make the table grow.
"""

import re
from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

_FORWARDED_FOR = re.compile(rb"\r\n(?i:x-forwarded-for):[ \t]*([^\r]*)")


class Bucket:
    __slots__ = ("at", "tokens")

    def __init__(self, tokens: float, at: float) -> None:
        self.tokens = tokens
        self.at = at


class Rates:
    def __init__(self, *, per_s: float, burst: int, remembered: int = 65_536) -> None:
        assert per_s > 0 and burst >= 1
        self._per_s = per_s
        self._burst = float(burst)
        self._remembered = remembered
        self._buckets: OrderedDict[bytes, Bucket] = OrderedDict()
        self._keys: OrderedDict[bytes, bytes] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Rates {self._per_s:g}/s, {len(self._buckets)} addresses>"

    def take(self, address: bytes, now: float) -> float:
        """0 when a request may begin, else the seconds until the next one may."""
        key = address if b":" not in address else self._network(address)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._burst, now)
            if len(self._buckets) > self._remembered:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
            gained = (now - bucket.at) * self._per_s
            bucket.tokens = min(self._burst, bucket.tokens + gained)
            bucket.at = now
        if bucket.tokens >= 1.0:
            bucket.tokens -= 1.0
            return 0.0
        return (1.0 - bucket.tokens) / self._per_s

    def _network(self, address: bytes) -> bytes:
        """Of IPv6 the first 64 bits: who has one address of such a network has all of them."""
        key = self._keys.get(address)
        if key is None:
            key = self._keys[address] = network_of(address)
            if len(self._keys) > self._remembered:
                self._keys.popitem(last=False)
        return key


def network_of(address: bytes) -> bytes:
    try:
        ip = ip_address(address.decode("ascii"))
    except ValueError:
        return address
    if not isinstance(ip, IPv6Address):
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped).encode()
    return (int(ip) >> 64).to_bytes(8, "big")


def told_address(block: bytes, peer: bytes) -> bytes:
    """Whose request a trusted proxy at `peer` brings: the last address that it added."""
    given = _FORWARDED_FOR.findall(block)
    if not given:
        return peer
    last: bytes = given[-1].rpartition(b",")[2].strip(b" \t")
    return last or peer
