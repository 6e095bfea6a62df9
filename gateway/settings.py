"""Process settings: defaults, then one YAML file, then ROUSE_* variables, then the command line.

Frozen groups, so that each part takes its own small one. What is not known is refused, by where it
stood (`config.yaml: edge.listn`, `ROUSE_EDGE_LISTN`) and the nearest name that is known.
"""

import ipaddress
import operator
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

import msgspec

from gateway import places
from gateway.entry_settings import Auth, Budgets, Limits, Tls, check_auth, check_tls
from lifecycle.quantities import Size
from lifecycle.strict import NotUnderstood, convert, nearest
from lifecycle.trust import (
    Address,
    BadAddress,
    Exposed,
    check_exposure,
    check_key,
    is_loopback,
)
from placement.model import check_label

Role = Literal["up", "gateway", "worker", "controller"]

_CLIENT_VARIABLES = frozenset({"ROUSE_ADMIN_URL", "ROUSE_ADMIN_KEY", "ROUSE_FAILPOINTS"})
"""The CLI's own, and the chaos tests': they may stand in the environment of a server too."""


class BadSettings(ValueError):
    """Settings that cannot be started with; says which, where it was set and what to do."""


class _Group(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Edge(_Group, frozen=True, kw_only=True):
    listen: str = "127.0.0.1:8080"
    """Where clients come in: host:port."""
    base_domains: tuple[str, ...] = ("actors.localhost",)
    """`<actor>.<namespace>.<base domain>` names an actor."""
    processes: int = 1
    """Edge processes that share the port (SO_REUSEPORT)."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks whose X-Forwarded-* are believed, as 10.0.0.0/8."""
    sandbox_headers: bool = False
    """Take X-Sandbox-ID, -Namespace and -Port as names of actors."""
    wake_timeout_s: float = 30.0
    """How long a request waits for its actor where the template says nothing shorter."""
    max_parked: int = 4096
    """Requests that may wait for wakes at once, in this process."""
    access_log: bool = True
    auth: Auth = msgspec.field(default_factory=Auth)
    tls: Tls = Tls()
    proxy_protocol: tuple[str, ...] = ()
    """Networks of load balancers that begin each connection with a PROXY header, which then must
    be there."""
    limits: Limits = msgspec.field(default_factory=Limits)
    budgets: Budgets = Budgets()
    asleep: dict[str, int] = msgspec.field(default_factory=dict)
    """Paths, as /favicon.ico, and the status that answers them while their actor is asleep: they
    wake nobody. A running actor gets them, and stays no longer awake for it (A4). Workers keep it
    as well."""

    @property
    def asleep_paths(self) -> dict[bytes, int]:
        return {path.encode(): status for path, status in self.asleep.items()}


class Door(_Group, frozen=True, kw_only=True):
    listen: str | None = None
    """Where this worker's actors are reached, host:port or unix:/path; None: a socket in the data
    directory."""
    advertise: str | None = None
    """What gateways are told, when it differs from `listen`."""


class Rpc(_Group, frozen=True, kw_only=True):
    listen: str | None = None
    """Where this worker takes wakes and suspends; None: a socket in the data directory."""
    advertise: str | None = None
    """What gateways are told, when it differs from `listen`."""


class Admin(_Group, frozen=True, kw_only=True):
    listen: str = "127.0.0.1:8081"
    """REST API, metrics and health: host:port or unix:/path."""


class Redis(_Group, frozen=True, kw_only=True):
    url: str | None = None
    """redis://, rediss://, unix:// or redis+cluster://; None: a private server (`up` only)."""
    replicas: int = 0
    """Replicas that must have a write before a worker acts on it (WAIT)."""


class Snapshots(_Group, frozen=True, kw_only=True):
    url: str | None = None
    """file:///path or s3://bucket/prefix?endpoint=...; None: a directory in the data directory."""
    key_file: Path | None = None
    """Holds the key that snapshots are encrypted with; None: one made in the data directory."""
    cache_bytes: Size = msgspec.field(default_factory=lambda: Size(2 * 2**30))
    """Local chunks kept; 512Mi, 2Gi or bytes."""


class Worker(_Group, frozen=True, kw_only=True):
    id: str | None = None
    """A DNS label; None: made once and kept in the data directory."""
    slots: int = 100
    """Running actors at most."""
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    runtime: Literal["auto", "process", "bubblewrap", "gvisor", "microvm"] = "auto"
    """Runtime class for templates that say `auto`."""


class Egress(_Group, frozen=True, kw_only=True):
    """What actors send out (docs/egress.md); without policies they go out as they can."""

    policies: dict[str, Path] = msgspec.field(default_factory=dict)
    """Name -> document. `default` is for templates that say no other."""
    listen: str = "127.0.0.1:0"
    """For actors that share the worker's network; 0: a port of the kernel's choice, kept."""
    gateway: str | None = None
    """host:port where a gateway takes plain HTTP, for calls from actor to actor; `rouse up` knows
    its own."""
    ca_cert_file: Path | None = None
    """The CA that opened hosts are shown by; None: one made in the data directory."""
    ca_key_file: Path | None = None


class Lease(_Group, frozen=True, kw_only=True):
    ttl_s: float = 10.0
    """How long a worker that stops answering keeps its actors."""
    margin_s: float = 1.0
    """Waited out beside the lease before a take-over: clock drift and one round trip."""


class Log(_Group, frozen=True, kw_only=True):
    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "text", "json"] = "auto"
    """`auto`: text on a terminal, else one JSON object per line."""


class FileSettings(_Group, frozen=True, kw_only=True):
    """What may stand in the file."""

    edge: Edge = msgspec.field(default_factory=Edge)
    door: Door = Door()
    rpc: Rpc = Rpc()
    admin: Admin = Admin()
    redis: Redis = Redis()
    snapshots: Snapshots = msgspec.field(default_factory=Snapshots)
    worker: Worker = msgspec.field(default_factory=Worker)
    egress: Egress = msgspec.field(default_factory=Egress)
    lease: Lease = Lease()
    log: Log = Log()
    data_dir: Path = Path()
    """Sockets, snapshots, the private server's files; always absolute after `load`."""
    shared_key_file: Path | None = None
    """Holds the key that gateways, workers and admin clients share."""
    drain_grace_s: float = 30.0
    """How long a stopping process lets requests end."""


class Settings(FileSettings, frozen=True, kw_only=True):
    """Checked settings of one role."""

    role: Role
    chosen: frozenset[str] = frozenset()
    """Dotted names that somebody set; a default port that is taken may be exchanged."""

    def is_chosen(self, name: str) -> bool:
        return name in self.chosen

    def shared_key(self) -> str | None:
        """Read afresh, so that the key stands in no record. Raises BadSettings."""
        if self.shared_key_file is None:
            return None
        try:
            return check_key(self.shared_key_file.read_text())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise BadSettings(f"shared_key_file {self.shared_key_file}: {reason}") from error


def load(
    role: Role,
    file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
) -> Settings:
    """The settings of `role`, checked. `overrides` is by dotted name, as `edge.listen`; None in it
    is not given. Raises BadSettings."""
    merged: dict[str, Any] = {}
    sources: dict[str, str] = {}
    layers = [_from_file(file), _from_environ(environ), _from_command_line(overrides)]
    for name, value, source in (entry for layer in layers for entry in layer):
        _put(merged, name, value)
        sources[name] = source
    try:
        read = convert(merged, FileSettings, from_text=True)
    except NotUnderstood as error:
        raise BadSettings(_placed(error, sources)) from error
    directory = read.data_dir if "data_dir" in sources else places.data_dir(environ)
    fields = {name: getattr(read, name) for name in read.__struct_fields__}
    fields |= {"data_dir": directory.absolute(), "role": role, "chosen": frozenset(sources)}
    settings = Settings(**fields)
    _check(settings, sources)
    return settings


def summary(settings: Settings) -> str:
    """For `--check`: what will be started, in one sentence. No secret is in it."""
    redis = "a private server" if settings.redis.url is None else "the given Redis"
    return f"{settings.role}: settings are good (data in {settings.data_dir}, {redis})"


# Where values come from ---------------------------------------------------------------------

_Entry = tuple[str, object, str]


def _names(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf's dotted name and type."""
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _names(field.type, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", field.type


def variable(name: str) -> str:
    """`edge.listen` -> `ROUSE_EDGE_LISTEN`."""
    return "ROUSE_" + name.replace(".", "_").upper()


def _from_file(file: Path | None) -> Iterator[_Entry]:
    if file is None:
        return
    from lifecycle.yaml_text import load_all  # a start without a file needs no YAML

    try:
        documents = [each for each in load_all(file.read_bytes()) if each is not None]
    except OSError as error:
        raise BadSettings(f"{file}: {error.strerror}") from error
    except NotUnderstood as error:
        raise BadSettings(f"{file}: {error}") from error
    given = documents[0] if documents else {}
    if len(documents) > 1 or not isinstance(given, dict):
        raise BadSettings(f"{file}: settings are one mapping, as `edge: {{listen: ...}}`")
    known = {name for name, _type in _names(FileSettings)}
    groups = {name[:at] for name in known for at, each in enumerate(name) if each == "."}
    yield from _leaves(given, "", groups, str(file))


def _leaves(given: dict[Any, Any], prefix: str, groups: set[str], file: str) -> Iterator[_Entry]:
    for key, value in given.items():
        name = f"{prefix}{key}"
        if name in groups and isinstance(value, dict):
            yield from _leaves(value, f"{name}.", groups, file)
        elif name in groups and value is None:
            continue  # `edge:` with everything below it commented out
        else:
            yield name, value, file


def _from_environ(environ: Mapping[str, str]) -> Iterator[_Entry]:
    known = {variable(name): (name, kind) for name, kind in _names(FileSettings)}
    for given, text in sorted(environ.items()):
        if not given.startswith("ROUSE_") or given in _CLIENT_VARIABLES:
            continue
        if given not in known:
            raise BadSettings(f"{given}: no such setting; {nearest(given, known)}")
        name, kind = known[given]
        yield name, _of_text(given, text, kind), given


def _from_command_line(overrides: Mapping[str, object]) -> Iterator[_Entry]:
    known = {name for name, _kind in _names(FileSettings)}
    for name, value in overrides.items():
        if name not in known:
            raise BadSettings(f"{name}: no such setting; {nearest(name, known)}")
        if value is not None:
            yield name, value, "the command line"


def _of_text(given: str, text: str, kind: Any) -> object:
    """Lists are `a,b`, mappings `a=b,c=d`, lists in them `a=b+c`; the rest is as it stands."""
    origin = getattr(kind, "__origin__", None)
    items = [item.strip() for item in text.split(",") if item.strip()]
    if origin is tuple:
        return items
    if origin is dict:
        if not all("=" in item for item in items):
            raise BadSettings(f"{given}: {text[:80]!r} is not of the form name=value,name=value")
        pairs = dict(item.split("=", 1) for item in items)
        if getattr(kind.__args__[1], "__origin__", None) is tuple:
            return {name: value.split("+") for name, value in pairs.items()}
        return pairs
    return text


def _put(merged: dict[str, Any], name: str, value: object) -> None:
    group, dot, rest = name.partition(".")
    if not dot:
        merged[name] = value
    elif isinstance(inner := merged.setdefault(group, {}), dict):
        _put(inner, rest, value)


def _placed(error: NotUnderstood, sources: Mapping[str, str]) -> str:
    """The refusal with where the value came from."""
    for name in (error.path, error.path.partition("[")[0]):
        if name in sources:
            source = sources[name]
            shown = error.what if source.startswith("ROUSE_") else f"{error.path}: {error.what}"
            return f"{source}: {shown}"
    return str(error)


# Checking -----------------------------------------------------------------------------------


_ASLEEP = frozenset(status for status in HTTPStatus if status >= 200 and status != 304)


def _check(settings: Settings, sources: Mapping[str, str]) -> None:
    """What types cannot say. Ends with the rule about keys, which needs good addresses."""

    def refuse(name: str, why: object) -> BadSettings:
        return BadSettings(f"{sources.get(name, 'default')}: {name}: {why}")

    for name, (least, most) in _RANGES.items():
        value = operator.attrgetter(name)(settings)
        if not least <= value <= most:
            raise refuse(name, f"{value} is not between {least} and {most}")
    if settings.lease.margin_s >= settings.lease.ttl_s:
        raise refuse("lease.margin_s", f"must be less than lease.ttl_s ({settings.lease.ttl_s:g})")
    for path, status in settings.edge.asleep.items():
        if not (path.isascii() and path.startswith("/")) or "?" in path:
            raise refuse("edge.asleep", f"{path[:80]!r} is no path, as /favicon.ico")
        if status not in _ASLEEP:
            raise refuse("edge.asleep", f"{path}: {status} is no status for it: 200, 204, 404 ...")
    if settings.role != "up" and settings.redis.url is None:
        raise BadSettings("redis.url: a private server is for `rouse up`; say which Redis to use")
    if settings.role in ("worker", "gateway"):
        # A store or a key of its own would make actors that no other worker can wake.
        for name, value in (
            ("snapshots.url", settings.snapshots.url),
            ("snapshots.key_file", settings.snapshots.key_file),
        ):
            if value is None:
                raise BadSettings(
                    f"{name}: its own is for `rouse up`; say which one all gateways and workers use"
                )
    key = settings.shared_key()
    for name, text in _internal(settings):
        try:
            check_exposure(name, Address.parse(text), key)
        except BadAddress as error:
            raise refuse(name, error) from error
        except Exposed as error:
            raise BadSettings(str(error)) from error
    for name, reads in _FORMS.items():
        value = operator.attrgetter(name)(settings)
        try:
            for text in value if isinstance(value, tuple) else (value,):
                if text is not None:
                    reads(text)
        except ValueError as error:
            raise refuse(name, error) from error
    for name, why in _check_egress(settings.egress):
        raise refuse(f"egress.{name}", why)
    for name, why in check_auth(settings.edge.auth):
        raise refuse(f"edge.auth.{name}", why)
    for name, why in check_tls(settings.edge.tls):
        raise refuse(f"edge.tls.{name}", why)


def _check_egress(egress: Egress) -> Iterator[tuple[str, str]]:
    for name in egress.policies:
        try:
            check_label(name, "a policy's name")
        except ValueError as error:
            yield "policies", str(error)
    if (egress.ca_cert_file is None) != (egress.ca_key_file is None):
        yield "ca_key_file", "goes with ca_cert_file"
    address = Address.parse(egress.listen)
    if address.is_unix or not is_loopback(address.host):
        yield "listen", f"{egress.listen} is not this machine alone: only its actors may come"


def _tcp(text: str) -> None:
    if Address.parse(text).is_unix:
        raise BadAddress(f"{text} is a unix socket; clients come by TCP: write host:port")


def _domain(text: str) -> None:
    for label in text.split("."):
        check_label(label, f"{text[:80]!r}: its part")


_FORMS: dict[str, Callable[[str], object]] = {
    "edge.listen": _tcp,
    "edge.base_domains": _domain,
    "edge.trusted_proxies": ipaddress.ip_network,
    "edge.proxy_protocol": ipaddress.ip_network,
    "door.advertise": Address.parse,
    "egress.listen": Address.parse,
    "egress.gateway": _tcp,
    "rpc.advertise": Address.parse,
    "worker.id": lambda text: check_label(text, "it"),
}
"""What each of these texts must read as; a ValueError says why it does not."""


_RANGES: dict[str, tuple[float, float]] = {
    "edge.processes": (1, 256),
    "edge.wake_timeout_s": (0.1, 3600),
    "edge.max_parked": (1, 1_000_000),
    "edge.auth.jwks_refresh_s": (10, 86400),
    "edge.limits.connections": (1, 1_000_000),
    "edge.limits.requests_per_actor": (0, 1_000_000),
    "edge.limits.parked_bytes": (2**17, 2**40),
    "edge.limits.requests_per_s": (0, 1_000_000),
    "edge.limits.burst": (1, 1_000_000),
    "edge.budgets.head_s": (0, 86400),
    "edge.budgets.keep_alive_s": (0, 86400),
    "edge.budgets.first_byte_s": (0, 86400),
    "edge.budgets.request_s": (0, 86400),
    "edge.budgets.connect_s": (0, 3600),
    "edge.budgets.body_idle_s": (0, 86400),
    "edge.budgets.stream_idle_s": (0, 7 * 86400),
    "edge.budgets.websocket_quiet_s": (0, 7 * 86400),
    "redis.replicas": (0, 16),
    "snapshots.cache_bytes": (0, 2**50),
    "worker.slots": (1, 100_000),
    "lease.ttl_s": (1, 3600),
    "lease.margin_s": (0.05, 600),
    "drain_grace_s": (0, 86400),
}


def _internal(settings: Settings) -> list[tuple[str, str]]:
    """The addresses of this role that only our own processes should reach."""
    addresses: list[tuple[str, str]] = [("admin.listen", settings.admin.listen)]
    if settings.role in ("up", "worker"):
        optional = (("door.listen", settings.door.listen), ("rpc.listen", settings.rpc.listen))
        addresses += [(name, text) for name, text in optional if text is not None]
    return addresses
