"""Proxy tokens: one for each copy of an actor, which only this worker can make and only it takes.

`<slug>.<signature>`: the slug has uid and epoch, so a token ends with the copy it was made for. The
key is the worker's own and outlives its process, as sandboxes do. No I/O.
"""

import base64
import hashlib
import hmac

_PURPOSE = b"rouse egress token\0"


class ProxyTokens:
    def __init__(self, key: bytes) -> None:
        self._key = key

    def __repr__(self) -> str:
        return "<ProxyTokens>"

    def mint(self, slug: str) -> str:
        return f"{slug}.{self._signature(slug)}"

    def read(self, token: str) -> str | None:
        """The slug, of a token that was made here; whether its copy lives is for others to say."""
        slug, _dot, signature = token.rpartition(".")
        expected = self._signature(slug)
        if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
            return None
        return slug

    def _signature(self, slug: str) -> str:
        said = _PURPOSE + slug.encode("utf-8", "replace")
        digest = hmac.new(self._key, said, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:24]).decode()
