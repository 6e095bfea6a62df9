"""The name server in an actor's own network: every name is at our socket, and who is meant is asked
again there. So nothing is looked up for an actor, and no name carries anything out.
"""

import asyncio
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

_TTL_S = 60
_PER_S = 500.0
"""Answers; more are dropped unread, or an actor could keep the worker busy with small datagrams."""
_LONGEST = 512
"""Of a question by UDP (RFC 1035, section 4.2.1); with EDNS too there is nothing longer to ask."""


def answer(question: bytes, address: str) -> bytes | None:
    """None where silence is best: to what is no question."""
    if len(question) > _LONGEST:
        return None
    try:
        asked = dns.message.from_wire(question)
    except (dns.exception.DNSException, ValueError):
        return None
    if asked.flags & dns.flags.QR or len(asked.question) != 1:
        return None
    reply = dns.message.make_response(asked, recursion_available=True)
    (what,) = asked.question
    name = what.name.to_text(omit_final_dot=True).lower()
    if asked.opcode() != dns.opcode.QUERY:
        reply.set_rcode(dns.rcode.NOTIMP)
    elif "." not in name or name.endswith(".localhost"):
        reply.set_rcode(dns.rcode.NXDOMAIN)  # the sandbox's own
    elif (what.rdclass, what.rdtype) == (dns.rdataclass.IN, dns.rdatatype.A):
        found = dns.rrset.from_text(what.name, _TTL_S, what.rdclass, what.rdtype, address)
        reply.answer.append(found)
    return reply.to_wire()


class NameServer(asyncio.DatagramProtocol):
    def __init__(self, address: str) -> None:
        self._address = address
        self._left, self._seen_at = _PER_S, 0.0
        self._transport: asyncio.DatagramTransport | None = None

    def __repr__(self) -> str:
        return f"<NameServer all is at {self._address}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, since uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._transport is None or not self._may_answer(asyncio.get_running_loop().time()):
            return
        found = answer(data, self._address)
        if found is not None:
            self._transport.sendto(found, addr)

    def _may_answer(self, now: float) -> bool:
        self._left = min(_PER_S, self._left + (now - self._seen_at) * _PER_S)
        self._seen_at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True
