"""Guard: who may use the control API. The key where one is set; no foreign web page ever.

A browser on this machine reaches 127.0.0.1 for any page it shows. So a request must be for us by
its Host (DNS rebinding), not from another site (Fetch metadata, Origin), and a write must be of a
type that no form can send.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway.control.faults import Refusal
from lifecycle.trust import Address, check_exposure, is_bearer, is_loopback

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
"""For probes, which have no key and use whatever Host; they say nothing but well or not."""
WRITE_TYPES = frozenset({"application/json", "application/yaml"})
_FROM_US = frozenset({"same-origin", "none"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Raises Exposed when made for an address that others reach without a key."""

    address: Address
    """Where the API listens."""
    key: str | None = None
    """Wanted of every request but probes; None only where the machine itself guards."""

    def __post_init__(self) -> None:
        check_exposure("admin.listen", self.address, self.key)

    def __repr__(self) -> str:
        return f"<Guard of {self.address}, {'with a key' if self.key else 'no key'}>"

    def check(self, request: web.Request) -> None:
        """Raise Refusal unless this request may go on."""
        if request.path in OPEN_PATHS:
            return
        if self.key is not None:
            self._check_key(request, self.key)
        elif not self.address.is_unix:
            self._check_host(request)
        self._check_origin(request)
        self._check_type(request)

    def _check_key(self, request: web.Request, key: str) -> None:
        if not is_bearer(request.headers.get("Authorization"), key):
            raise Refusal(401, "unauthenticated", "send the shared key: Authorization: Bearer ...")

    def _check_host(self, request: web.Request) -> None:
        host = _host(request.headers.get("Host", ""))
        if not is_loopback(host) and host != self.address.host:
            raise Refusal(
                403, "foreign-host", f"{host[:80]!r} is not where this API is: use {self.address}"
            )

    def _check_origin(self, request: web.Request) -> None:
        site = request.headers.get("Sec-Fetch-Site")
        # same-site too: actors under *.localhost are of one site with us, and are anybody's code.
        if site is not None and site not in _FROM_US:
            raise Refusal(403, "cross-site", "requests from pages of other sites are refused")
        origin = request.headers.get("Origin")
        if origin is not None and urlsplit(origin).netloc != request.headers.get("Host", ""):
            raise Refusal(403, "cross-site", "requests from pages of other sites are refused")

    def _check_type(self, request: web.Request) -> None:
        if request.method in ("POST", "PUT", "PATCH") and request.content_type not in WRITE_TYPES:
            raise Refusal(
                415, "content-type", "a write is of Content-Type application/json (or .../yaml)"
            )

    def middleware(self) -> Middleware:
        @web.middleware
        async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.check(request)
            return await handler(request)

        return checked


def _host(field: str) -> str:
    """The host of a Host field, without port and brackets."""
    if field.startswith("["):
        return field[1:].partition("]")[0]
    return field.partition(":")[0]
