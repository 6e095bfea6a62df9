"""Which addresses nobody reaches unless they are named."""

import ipaddress

import pytest

from gateway.egress.addresses import read, why_refused


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.8.9.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254",
     "100.64.1.1", "100.100.100.200", "0.0.0.0", "255.255.255.255", "224.0.0.1", "240.0.0.1",
     "198.18.0.1", "192.0.2.1", "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
     "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::a9fe:a9fe",
     "64:ff9b:1::1", "2002:7f00:1::", "2001:0:1::1", "fec0::1", "2001:db8::1"],
)  # fmt: skip
def test_refused(address: str) -> None:
    assert why_refused(read(address), ()) is not None


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_the_internet_is_there(address: str) -> None:
    assert why_refused(read(address), ()) is None


def test_what_is_named_may_be_reached_in_every_spelling() -> None:
    named = [ipaddress.ip_network("127.0.0.0/8")]
    assert why_refused(read("127.0.0.1"), named) is None
    assert why_refused(read("::ffff:127.0.0.1"), named) is None
    assert why_refused(read("10.0.0.1"), named) is not None
