"""Actor tokens: a pass to one actor until a time, signed with a key that gateways share. No I/O.

`rouse1.<key id>.<namespace>.<name>.<expiry>.<signature>`: readable, and fit for a header, a cookie
and a query as it stands. The first key signs; all of them verify, so keys can be changed in turn.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass, field

from placement.model import ActorId, InvalidName

_TOKEN = re.compile(
    rb"(rouse1\.([a-z0-9-]{1,32})\.([a-z0-9-]{1,63})\.([a-z0-9-]{1,63})\.([0-9]{1,12}))"
    rb"\.([A-Za-z0-9_-]{43})"
)
_KEY_ID = re.compile(r"[a-z0-9-]{1,32}")
_PURPOSE = b"rouse actor token\0"
SHORTEST_SECRET = 32
"""Characters of a key's secret."""


class BadKeys(ValueError):
    """A key file that can't be used; says where, never a secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenKey:
    id: str
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActorPass:
    """What a genuine token says; whether it is over is for the reader to compare."""

    actor: ActorId
    expires: int
    """Unix time."""


class ActorTokens:
    """Raises BadKeys when made of no keys."""

    def __init__(self, keys: list[TokenKey]) -> None:
        self._keys: dict[bytes, TokenKey] = {}
        self.accept(keys)

    def __repr__(self) -> str:
        return f"<ActorTokens, keys {', '.join(key.id for key in self._keys.values())}>"

    def accept(self, keys: list[TokenKey]) -> None:
        """Use these from now on; the first one signs."""
        if not keys:
            raise BadKeys("no key is in it")
        self._keys = {key.id.encode(): key for key in keys}

    def mint(self, actor: ActorId, *, expires: int) -> str:
        key = next(iter(self._keys.values()))
        said = f"rouse1.{key.id}.{actor.namespace}.{actor.name}.{expires}".encode()
        return (said + b"." + _signature(key, said)).decode()

    def read(self, token: bytes) -> ActorPass | None:
        """None unless one of the keys signed exactly this."""
        match = _TOKEN.fullmatch(token)
        if match is None:
            return None
        said, key_id, namespace, name, expires, signature = match.groups()
        key = self._keys.get(key_id)
        if key is None or not hmac.compare_digest(_signature(key, said), signature):
            return None
        try:
            actor = ActorId.of(namespace.decode(), name.decode())
        except InvalidName:
            return None
        return ActorPass(actor=actor, expires=int(expires))


def parse_keys(text: str) -> list[TokenKey]:
    """Lines of `id secret`; `#` begins a comment. Raises BadKeys."""
    keys: list[TokenKey] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if len(words) != 2 or _KEY_ID.fullmatch(words[0]) is None:
            raise BadKeys(f"line {number}: write `id secret`, the id of a-z, 0-9 and -")
        if len(words[1]) < SHORTEST_SECRET:
            raise BadKeys(f"line {number}: the secret has fewer than {SHORTEST_SECRET} characters")
        if any(key.id == words[0] for key in keys):
            raise BadKeys(f"line {number}: the id {words[0]} is there twice")
        keys.append(TokenKey(id=words[0], secret=words[1].encode()))
    return keys


def _signature(key: TokenKey, said: bytes) -> bytes:
    digest = hmac.new(key.secret, _PURPOSE + said, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=")
