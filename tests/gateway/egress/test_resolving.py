"""Names are resolved once, and judged at every use."""

import ipaddress

import pytest

from gateway.egress.refusals import Refusal, Refused
from gateway.egress.resolving import Names

TEN = (ipaddress.ip_network("10.0.0.0/8"),)


class _Dns:
    def __init__(self, *found: str) -> None:
        self.found, self.asked = list(found), 0

    async def __call__(self, host: str) -> list[str]:
        self.asked += 1
        if not self.found:
            raise OSError("no such name")
        return self.found


async def test_an_answer_is_kept_for_a_moment() -> None:
    dns = _Dns("1.1.1.1")
    names = Names(dns)
    assert names.known("a.test") is None
    assert await names.reach("a.test") == await names.reach("a.test") == ("1.1.1.1",)
    assert names.known("a.test") == ("1.1.1.1",) and dns.asked == 1


async def test_only_what_may_be_reached_is_given() -> None:
    names = Names(_Dns("10.0.0.1", "1.1.1.1", "::ffff:127.0.0.1"))
    assert await names.reach("a.test") == ("1.1.1.1",)
    assert await names.reach("a.test", private=TEN) == ("10.0.0.1", "1.1.1.1")


async def test_a_name_that_is_only_private_is_refused_also_when_it_is_kept() -> None:
    names = Names(_Dns("10.0.0.1"))
    assert await names.reach("a.test", private=TEN)
    with pytest.raises(Refusal) as caught:
        names.known("a.test")
    assert caught.value.what is Refused.FORBIDDEN


async def test_what_the_document_names_is_meant() -> None:
    assert await Names(_Dns()).reach("127.0.0.1", is_named=True) == ("127.0.0.1",)
    with pytest.raises(Refusal):
        await Names(_Dns()).reach("127.0.0.1")


async def test_a_name_without_an_address_is_told() -> None:
    with pytest.raises(Refusal) as caught:
        await Names(_Dns()).reach("a.test")
    assert caught.value.what is Refused.DNS
