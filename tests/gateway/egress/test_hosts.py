"""Hosts: one form for each, odd spellings refused, patterns as agentgateway has them."""

import pytest

from gateway.egress.hosts import BadHost, check_pattern, covers, normalized, rank, split_port
from lifecycle.strict import NotUnderstood


@pytest.mark.parametrize(
    ("host", "form"),
    [
        ("API.OpenAI.com.", "api.openai.com"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::FFFF:127.0.0.1]", "127.0.0.1"),
        ("[0:0::1]", "::1"),
        ("_dmarc.x.com", "_dmarc.x.com"),
    ],
)
def test_normal_form(host: str, form: str) -> None:
    assert normalized(host) == form


@pytest.mark.parametrize(
    "host",
    ["0x7f.1", "2130706433", "127.1", "0177.0.0.1", "", "a..b", "-a.com", "a_b.c-", "[a]",
     "fe80::1%eth0", "a b", "a@b", "*.x", "x" * 64, "☃.com"],
)  # fmt: skip
def test_odd_spellings_are_refused(host: str) -> None:
    with pytest.raises(BadHost):
        normalized(host)


def test_ports() -> None:
    assert split_port("h.com:8080", 80) == ("h.com", 8080)
    assert split_port("[::1]", 443) == ("::1", 443)
    for bad in ("h:0", "h:65536", "h:x", "::1:80", "h:"):
        with pytest.raises(BadHost):
            split_port(bad, 80)


def test_exact_before_longest_wildcard_before_none() -> None:
    host = "a.b.x.com"
    ranks = [rank(each, host) for each in ((host,), ("*.b.x.com",), ("*.x.com",), ())]
    assert ranks == sorted(ranks, key=lambda r: -(r or 0)) and len(set(ranks)) == 4


def test_a_wildcard_covers_many_labels_but_not_none() -> None:
    assert covers(("*.x.com",), "a.b.x.com")
    assert not covers(("*.x.com",), "x.com")
    assert not covers(("*.x.com",), "evilx.com")


def test_patterns_are_checked() -> None:
    with pytest.raises(NotUnderstood):
        check_pattern("a.*.com", "p")
