"""Addresses that an actor may not reach unless the document names them. No I/O.

Asked of the very address that is connected to, after the name was resolved: a name that points
somewhere else the second time (DNS rebinding) is judged by where it points then.
"""

import ipaddress
from collections.abc import Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
_6TO4 = ipaddress.ip_network("2002::/16")
_TEREDO = ipaddress.ip_network("2001::/32")
_SHARED = ipaddress.ip_network("100.64.0.0/10")
"""RFC 6598; clouds keep services there (100.100.100.200 is one's metadata)."""


def read(text: str) -> Address:
    """Raises ValueError. An IPv4 address inside an IPv6 one is what it is judged as."""
    return unwrapped(ipaddress.ip_address(text.partition("%")[0]))


def unwrapped(address: Address) -> Address:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    packed = int(address)
    if address in _NAT64[0] or (packed >> 32) == 0:
        # ::a.b.c.d (deprecated) and NAT64 carry it in the last 32 bits; `::` and `::1` do not.
        inner = ipaddress.IPv4Address(packed & 0xFFFFFFFF)
        return address if packed <= 1 else inner
    if address in _6TO4:
        return ipaddress.IPv4Address((packed >> 80) & 0xFFFFFFFF)
    return address


def why_refused(address: Address, named: Iterable[Network]) -> str | None:
    """None when it may be reached."""
    address = unwrapped(address)
    kind = _kind(address)
    if kind is None:
        return None
    if any(address.version == network.version and address in network for network in named):
        return None
    return f"{address} is {kind}"


def _kind(address: Address) -> str | None:
    if address.is_loopback:
        return "a loopback address"
    if address.is_unspecified:
        return "no address to reach"
    if address.is_link_local:
        return "a link-local address (where clouds keep their metadata)"
    if address.is_multicast:
        return "a multicast address"
    if address.version == 4 and address in _SHARED:
        return "a shared address of the provider's network"
    if address.version == 6 and (address in _TEREDO or address in _NAT64[1]):
        return "an address that tunnels to another one"
    if (
        address.version == 6
        and isinstance(address, ipaddress.IPv6Address)
        and address.is_site_local
    ):
        return "a site-local address"
    if not address.is_global:
        return "a private or reserved address"
    return None
