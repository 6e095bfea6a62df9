"""What heads ask for, by which way; that the codec refuses nonsense is its own tests'."""

import pytest

from gateway.egress import asked
from gateway.egress.ask import Way
from gateway.egress.connecting import Opening
from gateway.egress.hosts import BadHost
from gateway.egress.refusals import Refusal, Refused
from gateway.ingress.codec.grammar import Malformed
from gateway.ingress.codec.request import NO_FIELDS, RequestHead, scan_request


def _head(text: str) -> tuple[bytes, RequestHead]:
    raw = text.encode()
    head = scan_request(raw, NO_FIELDS)
    assert head is not None
    return raw, head


@pytest.mark.parametrize(
    ("target", "host", "way", "where"),
    [
        ("http://a.test/x?y", "a.test", Way.ABSOLUTE, ("http", "a.test", 80, "/x?y")),
        ("https://a.test/x", "a.test", Way.ABSOLUTE, ("https", "a.test", 443, "/x")),
        ("http://a.test:81/", "A.test:81", Way.ABSOLUTE, ("http", "a.test", 81, "/")),
        ("http://egress.internal/x", "egress.internal", Way.BASE_URL,
         ("http", "egress.internal", 80, "/x")),
        ("/x", "10.0.0.1:3128", Way.BASE_URL, ("http", "10.0.0.1", 3128, "/x")),
    ],
)  # fmt: skip
def test_the_ways_in_the_clear(
    target: str, host: str, way: Way, where: tuple[str, str, int, str]
) -> None:
    raw, head = _head(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    found = asked.outside(raw, head, asked.target_of(raw, head)[0])
    assert (found.way, (found.scheme, found.host, found.port, found.target)) == (way, where)


def test_a_token_before_the_path_is_nobodys_to_see() -> None:
    raw, head = _head("GET /~to.k_en/v1/x HTTP/1.1\r\nHost: egress.internal\r\n\r\n")
    assert asked.target_of(raw, head) == ("/v1/x", "to.k_en")
    raw, head = _head("GET http://a.test/~user/x HTTP/1.1\r\nHost: a.test\r\n\r\n")
    assert asked.target_of(raw, head) == ("/~user/x", ""), "a home page, not a token"


def test_a_request_in_the_clear_says_its_host() -> None:
    raw, head = _head("GET / HTTP/1.0\r\n\r\n")
    with pytest.raises(Refusal) as refused:
        asked.outside(raw, head, "/")
    assert refused.value.what is Refused.INVALID


@pytest.mark.parametrize(
    ("line", "host", "is_tls", "is_good"),
    [
        ("/", "a.test", True, True),
        ("/", "a.test:8443", True, True),
        ("/", "a.test:443", True, False),
        ("/", "b.test", True, False),
        ("https://a.test:8443/", "a.test:8443", True, True),
        ("http://a.test:8443/", "a.test:8443", True, False),
        ("http://a.test:8443/", "a.test:8443", False, True),
    ],
)
def test_inside_a_tunnel_there_is_one_host(
    line: str, host: str, is_tls: bool, is_good: bool
) -> None:
    opened = Opening(host="a.test", port=8443)
    raw, head = _head(f"GET {line} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    if is_good:
        assert asked.inside(opened, raw, head, is_tls=is_tls).host == "a.test"
        return
    with pytest.raises(Refusal) as refused:
        asked.inside(opened, raw, head, is_tls=is_tls)
    assert refused.value.what is Refused.MISDIRECTED


def test_connect_names_a_host_and_a_port() -> None:
    head = asked.scan_connect(b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\nmore")
    assert head is not None and head.where() == ("a.test", 443) and head.size == 49
    assert asked.scan_connect(b"CONNECT a.test:443 HTTP/1.1\r\nHost:") is None
    bare = asked.scan_connect(b"CONNECT a.test HTTP/1.1\r\n\r\n")
    assert bare is not None
    with pytest.raises(BadHost):
        bare.where()
    for bad in (
        b"CONNECT  a.test:443 HTTP/1.1\r\n\r\n",
        b"CONNECT a.test:443 HTTP/2.0\r\n\r\n",
        b"CONNECT a.test:443 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
    ):
        with pytest.raises(Malformed):
            asked.scan_connect(bad)
