"""Plain HTTP is answered by the way to https, and by nothing else."""

import pytest

from gateway.ingress.redirect import HttpsNaming
from tests.gateway.ingress.support import FakeUsher, field_of, running


@pytest.mark.parametrize(
    ("port", "host", "target", "location"),
    [
        (443, b"a1.demo.example", b"/p?a=1", "https://a1.demo.example/p?a=1"),
        (443, b"a1.demo.example:80", b"/", "https://a1.demo.example/"),
        (8443, b"a1.demo.example:8080", b"/", "https://a1.demo.example:8443/"),
        (8443, b"[::1]:8080", b"/", "https://[::1]:8443/"),
    ],
)
async def test_the_same_place_by_https(
    port: int, host: bytes, target: bytes, location: str
) -> None:
    usher = FakeUsher()
    async with running(usher, naming=HttpsNaming(port)) as relay:
        answer = await relay.talk(
            b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Length: 2\r\n\r\nhi" % (target, host)
        )
    assert answer.startswith(b"HTTP/1.1 308 ") and field_of(answer, "location") == location
    assert usher.admitted == 0 and not usher.demands


async def test_odd_requests_get_no_odd_redirects() -> None:
    async with running(FakeUsher(), naming=HttpsNaming(443)) as relay:
        answer = await relay.talk(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert field_of(answer, "location") == "https://a/"
        answer = await relay.talk(b"GET / HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
