"""Names: what the vault calls its objects, and which manifest a snapshot id means. No I/O."""

import base64
import re
import secrets
from dataclasses import dataclass

from placement.model import check_label

_UID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME = re.compile(r"(?:0|[1-9][0-9]{0,18})-[a-z2-7]{26}")
_MARK = re.compile(r"[A-Za-z0-9_-]{1,64}\.[a-z2-7]{26}")


class InvalidSnapshotId(ValueError):
    """Text that cannot be a snapshot id, a uid or an object's name."""


def new_name(epoch: int) -> str:
    """A name nobody else makes: the epoch tells whose, the random part which."""
    return f"{epoch}-{_random()}"


def new_mark(borrower: str) -> str:
    """Of a mark that says that this uid's snapshots may name packs here; another one each time,
    so that an old one that is just being removed is never relied on."""
    return f"{borrower}.{_random()}"


def _random() -> str:
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def is_pack_name(text: str) -> bool:
    """Of an own pack, or `uid:name` of one that lies with another actor of the namespace."""
    uid, colon, name = text.rpartition(":")
    return is_name(name) and (not colon or _UID.fullmatch(uid) is not None)


def borrower_of(mark: str) -> str:
    """The uid in the name of a mark, or in its key."""
    return mark.rpartition("/")[2].partition(".")[0]


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything of one actor lies."""

    namespace: str
    uid: str

    def __post_init__(self) -> None:
        check_label(self.namespace, "namespace")
        if not _UID.fullmatch(self.uid):
            raise InvalidSnapshotId(f"{self.uid[:80]!r} is no actor's uid")

    @property
    def prefix(self) -> str:
        return f"{self.namespace}/{self.uid}/"

    def manifest(self, name: str) -> str:
        return f"{self.prefix}m/{_checked(name)}"

    def pack(self, name: str) -> str:
        owner, own = self.find(name)
        return f"{owner.prefix}p/{own}"

    @property
    def marks(self) -> str:
        """Prefix of the marks of those who borrow here."""
        return f"{self.prefix}b/"

    def find(self, snapshot_id: str) -> tuple["Home", str]:
        """Whose manifest (or pack) the id means to this actor, and its name: own or `uid:name`."""
        uid, colon, name = snapshot_id.rpartition(":")
        home = Home(self.namespace, uid) if colon else self
        return home, _checked(name)


def _checked(name: str) -> str:
    if not is_name(name):
        raise InvalidSnapshotId(f"{name[:80]!r} is no snapshot's id")
    return name


def parse_key(key: str) -> tuple[Home, str, str] | None:
    """Home, kind (`m`, `p` or `b`) and name of a key of ours; None for a stranger's."""
    parts = key.split("/")
    if len(parts) != 4 or parts[2] not in ("m", "p", "b"):
        return None
    if (_MARK if parts[2] == "b" else _NAME).fullmatch(parts[3]) is None:
        return None
    try:
        return Home(parts[0], parts[1]), parts[2], parts[3]
    except ValueError:
        return None
