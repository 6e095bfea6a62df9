"""Where things are in Redis. Braces are the cluster's hash tag: what is in them picks the slot."""

from placement.errors import RecordRefused
from placement.model import ActorId, InvalidName

CHANGES = "rouse:changes"
"""The channel of the change feed: what may end a gateway's route, and templates that moved."""
PROGRESS = CHANGES + ":progress"
"""The channel of all other transitions, for who watches; nothing depends on it."""
NAMESPACES = "rouse:n"
"""Sorted set of the namespaces that have actors."""
TEMPLATE_NAMESPACES = "rouse:t"
"""Set of the namespaces that have templates."""
WORKERS = "rouse:w"
"""Set of the ids of workers."""
QUOTAS = "rouse:quotas"
"""Hash: how many actors of a namespace may run at once, where that is limited."""
_ACTOR = "rouse:a:"
ACTOR_PATTERN = _ACTOR + "*"


def actor_key(actor: ActorId) -> str:
    return f"{_ACTOR}{{{actor.namespace}/{actor.name}}}"


def actor_of(key: str) -> ActorId:
    """The actor whose key this is. Raises RecordRefused."""
    try:
        return ActorId.parse(key.removeprefix(_ACTOR).strip("{}"))
    except InvalidName as error:
        raise RecordRefused(f"key {key[:200]!r} is no actor's") from error


def index_key(namespace: str) -> str:
    """Root of the index of a namespace; its leaves are this and a suffix, in the same slot."""
    return f"rouse:n:{{{namespace}}}"


def quota_keys(namespace: str) -> list[str]:
    """Which actors of a namespace run, and at whose word: in one slot."""
    places = f"rouse:q:{{{namespace}}}"
    return [places, f"{places}:by"]


def templates_key(namespace: str) -> str:
    return f"rouse:t:{{{namespace}}}"


def lease_key(worker: str) -> str:
    return f"rouse:l:{{{worker}}}"


def errand_key(name: str) -> str:
    return f"rouse:e:{{{name}}}"


def worker_key(worker: str) -> str:
    return f"rouse:w:{{{worker}}}"
