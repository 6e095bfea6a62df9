"""An OCI image as it lies on a disk: a layout directory or a tar of one (image-spec, `oci-layout`).

Everything is read by its digest, and what it names is checked against that: whoever knows the
digest of a manifest knows every byte that it leads to.
"""

import hashlib
import platform
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import msgspec

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_SMALL = 4 << 20
"""Bytes of an index, a manifest or a config."""
_LAYERS = 128
_DEPTH = 4
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


class ImageRefused(Exception):
    """It is no image that can be used here; the message says why."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """How the image wants to be run, where a template does not say otherwise."""

    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    user: str = ""
    working_dir: str = "/"


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    digest: str
    media_type: str


class Image(msgspec.Struct, frozen=True, kw_only=True):
    digest: str
    """Of its manifest."""
    config: Config
    layers: tuple[Layer, ...]


class Layout:
    """Open until `close`. All of it blocks. Raises ImageRefused."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tar: tarfile.TarFile | None = None
        if path.is_file():
            try:
                self._tar = tarfile.open(path, "r:")
            except (tarfile.TarError, OSError) as error:
                raise ImageRefused(f"{path} is no tar of an OCI layout: {error}") from error

    def close(self) -> None:
        if self._tar is not None:
            self._tar.close()

    def open(self, digest: str) -> IO[bytes]:
        found = _DIGEST.fullmatch(digest)
        if found is None:
            raise ImageRefused(f"{digest[:80]!r} is no sha256 digest")
        return self._file(f"blobs/sha256/{found[1]}")

    def image(self) -> Image:
        """The one for this machine."""
        with self._file("index.json") as file:
            index = _object(file.read(_SMALL + 1), "index.json")
        descriptor = self._chosen(index, 0)
        manifest = self._json(descriptor)
        layers = manifest.get("layers")
        if not isinstance(layers, list) or not 0 < len(layers) <= _LAYERS:
            raise ImageRefused(f"the image has not between 1 and {_LAYERS} layers")
        return Image(
            digest=_text(descriptor, "digest"),
            config=_config(self._json(_part(manifest, "config")).get("config")),
            layers=tuple(
                Layer(digest=_text(each, "digest"), media_type=_text(each, "mediaType"))
                for each in layers
            ),
        )

    def _chosen(self, index: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        machine = _MACHINES.get(platform.machine(), platform.machine())
        listed = index.get("manifests")
        for each in listed if isinstance(listed, list) else []:
            if not isinstance(each, dict):
                continue
            about = each.get("platform")
            wanted = about if isinstance(about, dict) else {}
            theirs = wanted.get("os", "linux"), wanted.get("architecture", machine)
            if theirs != ("linux", machine):
                continue
            if not str(each.get("mediaType", "")).endswith(("index.v1+json", "list.v2+json")):
                return each
            if depth < _DEPTH:
                return self._chosen(self._json(each), depth + 1)
        raise ImageRefused(f"{self._path} has no image for linux/{machine}")

    def _json(self, descriptor: Mapping[str, Any]) -> Mapping[str, Any]:
        digest = _text(descriptor, "digest")
        with self.open(digest) as file:
            body = file.read(_SMALL + 1)
        if hashlib.sha256(body).hexdigest() != digest.removeprefix("sha256:"):
            raise ImageRefused(f"{digest} is damaged")
        return _object(body, digest)

    def _file(self, name: str) -> IO[bytes]:
        try:
            if self._tar is None:
                return (self._path / name).open("rb")
            found: IO[bytes] | None = None
            for each in (name, f"./{name}"):
                if each in self._tar.getnames():
                    found = self._tar.extractfile(each)
            if found is None:
                raise FileNotFoundError(2, "is not in it")
            return found
        except (OSError, tarfile.TarError) as error:
            why = getattr(error, "strerror", None) or error
            raise ImageRefused(f"{self._path}: {name}: {why}") from error


def _object(body: bytes, what: str) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ImageRefused(f"{what} is not JSON: {error}") from error
    if len(body) > _SMALL or not isinstance(found, dict):
        raise ImageRefused(f"{what} is no object of at most {_SMALL} bytes")
    return found


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    if not isinstance(found, dict):
        raise ImageRefused(f"the image has no {name}")
    return found


def _text(record: Any, name: str) -> str:  # whatever stands in the document
    found = record.get(name) if isinstance(record, dict) else None
    if not isinstance(found, str):
        raise ImageRefused(f"the image has a descriptor without {name}")
    return found


def _config(given: object) -> Config:
    told = given if isinstance(given, dict) else {}
    try:
        lists = {
            name: msgspec.convert(told.get(field) or [], tuple[str, ...])
            for name, field in (("entrypoint", "Entrypoint"), ("command", "Cmd"), ("env", "Env"))
        }
        user = msgspec.convert(told.get("User") or "", str)
        working_dir = msgspec.convert(told.get("WorkingDir") or "/", str)
    except msgspec.ValidationError as error:
        raise ImageRefused(f"the image's config: {error}") from error
    env = dict(each.partition("=")[::2] for each in lists["env"] if "=" in each)
    return Config(
        entrypoint=lists["entrypoint"],
        command=lists["command"],
        env=env,
        user=user,
        working_dir=working_dir,
    )
