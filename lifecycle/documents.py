"""Documents: the YAML or JSON a person writes, checked whole and made into a Template.

What is stored of a template is the canonical document: JSON, keys in order, quantities in their
shortest form, so that equal specs have equal digests and `template get` shows what was meant.
"""

import hashlib
import posixpath
import re
from pathlib import Path
from typing import Literal

import msgspec

from lifecycle import quantities
from lifecycle.forms import (
    API_VERSION,
    EnvForm,
    IdleForm,
    NamespaceDocument,
    PolicyDocument,
    PortForm,
    ReadinessForm,
    ResourcesForm,
    Spec,
    TemplateDocument,
)
from lifecycle.quantities import Duration
from lifecycle.strict import NotUnderstood, convert, nearest
from lifecycle.templates import Readiness, Template
from placement.model import InvalidName, check_label, is_label
from runtimes.base import MEMORY_CLASSES, Resources, RuntimeClass
from runtimes.interpreter import NotPython, parse

LARGEST_BYTES = 256 * 1024

_KINDS = {"ActorTemplate": "template", "Namespace": "namespace"}
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS = re.compile(r"PORT(_.*)?|ROUSE_.*")
"""Variables that tell a program where it is: the driver's to set."""
_HOSTS_OWN = ("/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr")
_MOST_DURABLE = 16
_MOST_PRELOADED = 64
_PRELOADING = (RuntimeClass.PROCESS, RuntimeClass.BUBBLEWRAP)
_MOST_RUNNING = 1_000_000


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    template: Template
    canonical: bytes
    """What the catalog keeps; `template_from_json` reads it back."""


# Reading ------------------------------------------------------------------------------------


def read_all(text: str | bytes) -> list[object]:
    """The documents of a YAML stream (JSON is YAML), as builtins. Raises NotUnderstood."""
    from lifecycle.yaml_text import load_all  # YAML costs 20 ms to import; a JSON body needs none

    if len(text) > LARGEST_BYTES:
        raise NotUnderstood("", f"a document may be {LARGEST_BYTES // 1024} KiB at most")
    return [each for each in load_all(text) if each is not None]


def with_absolute_dir(given: object, base: Path) -> object:
    """The document with a relative workingDir resolved against `base`, its file's directory."""
    if isinstance(given, dict) and isinstance(spec := given.get("spec"), dict):
        directory = spec.get("workingDir")
        if isinstance(directory, str) and directory and not directory.startswith("/"):
            absolute = (base / directory).resolve()
            return {**given, "spec": {**spec, "workingDir": str(absolute)}}
    return given


def parse_template(given: object) -> Parsed:
    """Check one document whole. Raises NotUnderstood with the path of what is wrong."""
    _check_kind(given, "ActorTemplate")
    document = convert(given, TemplateDocument)
    template = _template(document)
    return Parsed(template=template, canonical=_canonical(document))


def template_from_json(canonical: bytes) -> Template:
    """The template of a stored document. Raises NotUnderstood (written by a later version)."""
    return parse_template(msgspec.json.decode(canonical)).template


def parse_namespace(given: object) -> tuple[str, int | None]:
    """The namespace's name and how many of its actors may run. Raises NotUnderstood."""
    _check_kind(given, "Namespace")
    document = convert(given, NamespaceDocument)
    running = document.spec.quota.running
    if running is not None:
        running = _count(running, 0, _MOST_RUNNING, "spec.quota.running")
    return _label(document.metadata.name, "metadata.name"), running


def parse_policy(given: object) -> str:
    """A per-actor policy as the JSON that the table keeps. Raises NotUnderstood."""
    return _canonical(convert(given, PolicyDocument)).decode()


def _canonical(document: msgspec.Struct) -> bytes:
    return msgspec.json.Encoder(enc_hook=quantities.encode, order="sorted").encode(document)


def _check_kind(given: object, wanted: str) -> None:
    """The kind first: a document of another kind should not be told which fields it lacks."""
    if not isinstance(given, dict):
        raise NotUnderstood("", "a document is a mapping with apiVersion, kind, metadata and spec")
    kind, version = given.get("kind"), given.get("apiVersion")
    if version is not None and version != API_VERSION:
        raise NotUnderstood("apiVersion", f"{str(version)[:80]!r} is not known: {API_VERSION} is")
    if kind == "WorkerPool":
        raise NotUnderstood(
            "kind", "WorkerPool is only in Kubernetes; here, start `rouse worker` for each worker"
        )
    if kind in _KINDS and kind != wanted:
        raise NotUnderstood("kind", f"{kind} is for `rouse {_KINDS[kind]} apply`")
    if kind is not None and kind != wanted:
        raise NotUnderstood(
            "kind", f"{str(kind)[:80]!r} is not known; {nearest(str(kind), [wanted])}"
        )


# Checking -----------------------------------------------------------------------------------


def _template(document: TemplateDocument) -> Template:
    spec, metadata = document.spec, document.metadata
    ports = _ports(spec.ports)
    freeze_s, suspend_s = _idle(spec.idle)
    return Template(
        namespace=_label(metadata.namespace, "metadata.namespace"),
        name=_label(metadata.name, "metadata.name"),
        digest=hashlib.sha256(_canonical(spec)).hexdigest(),
        runtime=RuntimeClass(spec.runtime.class_) if spec.runtime.class_ != "auto" else "auto",
        requires=_requires(spec),
        labels=spec.runtime.labels,
        image=_image(spec.image),
        command=_command(spec.command, has_image=spec.image is not None),
        preload=_preload(spec),
        working_dir=_working_dir(spec.working_dir),
        env=_env(spec.env),
        ports=ports,
        readiness=_readiness(spec.readiness, ports),
        durable=_durable(spec.durable),
        resources=_resources(spec.resources),
        freeze_after_s=freeze_s,
        suspend_after_s=suspend_s,
        checkpoint_every_s=_every(spec.snapshot.every),
        wake_timeout_s=_between(spec.wake.timeout, 0.1, 3600, "spec.wake.timeout"),
        wake_queue=_count(spec.wake.queue, 1, 65536, "spec.wake.queue"),
        scope=spec.snapshot.scope,
        fallback=spec.snapshot.fallback,
        golden=spec.snapshot.golden,
        create_on_request=spec.create.on_request,
        waiting_page=spec.wake.waiting_page,
        egress_policy=_label(spec.egress.policy, "spec.egress.policy"),
    )


def _label(text: str, path: str) -> str:
    try:
        return check_label(text, "it")
    except InvalidName as error:
        raise NotUnderstood(path, str(error).removeprefix("it ")) from error


def _requires(spec: Spec) -> tuple[str, ...]:
    """What was written, and what else in the document asks for the same."""
    requires = set[str](spec.runtime.requires)
    if spec.image is not None:
        requires.add("image")
        if spec.runtime.class_ in ("process", "microvm"):
            raise NotUnderstood("spec.image", f"{spec.runtime.class_} runs no images: write auto")
    if spec.snapshot.scope == "full":
        requires.add("full-snapshot")
    if "full-snapshot" in requires and spec.snapshot.scope == "data":
        raise NotUnderstood(
            "spec.snapshot.scope", "is data, but spec.runtime.requires asks for full-snapshot"
        )
    kind = spec.runtime.class_
    if "full-snapshot" in requires and kind != "auto" and kind not in MEMORY_CLASSES:
        raise NotUnderstood(
            "spec.runtime.class",
            f"{kind} keeps no memory, which a full snapshot needs: write auto, gvisor or microvm",
        )
    return tuple(sorted(requires))


def _image(image: str | None) -> Path | None:
    if image is None:
        return None
    if not image.startswith("/") or "\0" in image:
        raise NotUnderstood(
            "spec.image",
            f"{image[:80]!r} is no absolute path of an OCI layout (a registry's image becomes one "
            "by `skopeo copy docker://NAME oci:DIRECTORY`)",
        )
    return Path(image)


def _command(command: tuple[str, ...] | None, *, has_image: bool) -> tuple[str, ...]:
    if command is None:
        if not has_image:
            raise NotUnderstood("spec.command", "is missing")
        return ()
    if not command or not command[0]:
        raise NotUnderstood("spec.command", "is empty: say which program to run")
    for index, argument in enumerate(command):
        if "\0" in argument:
            raise NotUnderstood(f"spec.command[{index}]", "holds a NUL character")
    return command


def _preload(spec: Spec) -> tuple[str, ...]:
    if not spec.preload:
        return ()
    if len(spec.preload) > _MOST_PRELOADED:
        raise NotUnderstood("spec.preload", f"has more than {_MOST_PRELOADED} modules")
    for index, name in enumerate(spec.preload):
        path = f"spec.preload[{index}]"
        if not all(part.isidentifier() for part in name.split(".")):
            raise NotUnderstood(path, f"{name[:80]!r} cannot name a Python module")
        if name in spec.preload[:index]:
            raise NotUnderstood(path, f"{name[:80]} is named twice")
    kind = spec.runtime.class_
    if kind not in ("auto", *_PRELOADING):
        raise NotUnderstood(
            "spec.preload", f"{kind} forks no actors: {' and '.join(_PRELOADING)} do"
        )
    if "full-snapshot" in _requires(spec):
        raise NotUnderstood("spec.preload", "is of no use with full snapshots: they keep memory")
    if spec.image is not None or spec.command is None:
        raise NotUnderstood("spec.preload", "is of the host's Python: it goes with no image")
    try:
        parse(spec.command)
    except NotPython as error:
        raise NotUnderstood("spec.preload", f"needs a Python command: {error}") from error
    return spec.preload


def _working_dir(text: str | None) -> Path | None:
    if text is None:
        return None
    if not text.startswith("/") or "\0" in text:
        raise NotUnderstood(
            "spec.workingDir",
            f"{text[:80]!r} is not absolute; `rouse template apply -f` resolves it for a file",
        )
    return Path(posixpath.normpath(text))


def _env(forms: tuple[EnvForm, ...]) -> dict[str, str]:
    env: dict[str, str] = {}
    for index, form in enumerate(forms):
        path = f"spec.env[{index}].name"
        if _ENV_NAME.fullmatch(form.name) is None:
            raise NotUnderstood(path, f"{form.name[:80]!r} cannot name a variable")
        if _OURS.fullmatch(form.name):
            raise NotUnderstood(path, f"{form.name[:80]} is set by rouse")
        if form.name in env:
            raise NotUnderstood(path, f"{form.name[:80]} is set twice")
        if "\0" in form.value:
            raise NotUnderstood(f"spec.env[{index}].value", "holds a NUL character")
        env[form.name] = form.value
    return env


def _ports(forms: tuple[PortForm, ...]) -> dict[str, int]:
    if not forms:
        raise NotUnderstood("spec.ports", "is empty: an actor speaks HTTP on at least one port")
    ports: dict[str, int] = {}
    for index, form in enumerate(forms):
        path = f"spec.ports[{index}]"
        # `<port>--<actor>` in a host name: a port's name must not look like more, or a number.
        if not is_label(form.name) or "--" in form.name or form.name.isdigit():
            raise NotUnderstood(
                f"{path}.name",
                f"{form.name[:80]!r} is not a port's name: a-z, 0-9 and single '-', with a letter",
            )
        _count(form.port, 1, 65535, f"{path}.port")
        if form.name in ports:
            raise NotUnderstood(f"{path}.name", f"{form.name!r} is declared twice")
        if form.port in ports.values():
            raise NotUnderstood(f"{path}.port", f"{form.port} is declared twice")
        ports[form.name] = form.port
    return ports


def _readiness(form: ReadinessForm, ports: dict[str, int]) -> Readiness:
    timeout_s = _between(form.timeout, 0.1, 3600, "spec.readiness.timeout")
    if form.http_get is not None and form.tcp_socket is not None:
        raise NotUnderstood("spec.readiness", "has both httpGet and tcpSocket: choose one")
    if form.http_get is not None:
        path = form.http_get.path
        if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
            raise NotUnderstood(
                "spec.readiness.httpGet.path", f"{path[:80]!r} is no path that begins with /"
            )
        port = _declared(form.http_get.port, ports, "spec.readiness.httpGet.port")
        return Readiness(path=path, port=port, timeout_s=timeout_s)
    port = ""
    if form.tcp_socket is not None:
        port = _declared(form.tcp_socket.port, ports, "spec.readiness.tcpSocket.port")
    return Readiness(port=port, timeout_s=timeout_s)


def _declared(port: str | int, ports: dict[str, int], path: str) -> str:
    if port == "":
        return ""
    for name, number in ports.items():
        if port in (name, number):
            return name
    raise NotUnderstood(path, f"no port {port!r} is declared; {nearest(str(port), ports)}")


def _durable(paths: tuple[str, ...]) -> tuple[str, ...]:
    if len(paths) > _MOST_DURABLE:
        raise NotUnderstood("spec.durable", f"has more than {_MOST_DURABLE} directories")
    for index, path in enumerate(paths):
        at = f"spec.durable[{index}]"
        if not path.startswith("/") or path != posixpath.normpath(path) or "\0" in path:
            raise NotUnderstood(at, f"{path[:80]!r} is not an absolute path without . and ..")
        if path == "/" or path.startswith("//"):
            raise NotUnderstood(at, "is the whole file system: name a directory in it")
        for taken in (*_HOSTS_OWN, *paths[:index]):
            if path == taken or path.startswith(taken + "/") or taken.startswith(path + "/"):
                whose = "the system's own" if taken in _HOSTS_OWN else "declared already"
                raise NotUnderstood(at, f"{path[:80]!r} overlaps {taken}, which is {whose}")
    return paths


def _resources(form: ResourcesForm) -> Resources:
    if form.memory is not None and form.memory < 2**20:
        raise NotUnderstood("spec.resources.memory", "is less than 1Mi")
    if form.pids is not None:
        _count(form.pids, 1, 4_194_304, "spec.resources.pids")
    return Resources(
        memory_bytes=None if form.memory is None else int(form.memory),
        cpu=None if form.cpu is None else float(form.cpu),
        pids=form.pids,
    )


def _idle(form: IdleForm | Literal["never"]) -> tuple[float | None, float | None]:
    if form == "never":
        return None, None
    return form.freeze_after.finite, form.suspend_after.finite


def _every(every: Duration) -> float | None:
    if not every:
        return None
    return _between(every, 1, 7 * 86400, "spec.snapshot.every")


def _between(duration: Duration, least_s: float, most_s: float, path: str) -> float:
    if not least_s <= duration <= most_s:
        raise NotUnderstood(
            path, f"{duration} is not between {Duration(least_s)} and {Duration(most_s)}"
        )
    return float(duration)


def _count(number: int, least: int, most: int, path: str) -> int:
    if not least <= number <= most:
        raise NotUnderstood(path, f"{number} is not between {least} and {most}")
    return number
