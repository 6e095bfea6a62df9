"""OCI layouts for tests, made here: a few files, or a root with a static busybox that serves."""

import gzip
import hashlib
import io
import json
import platform
import shutil
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import zstandard

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"
PLAIN = "application/vnd.oci.image.layer.v1.tar"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
PACK: dict[str, Callable[[bytes], bytes]] = {
    GZIP: gzip.compress,
    ZSTD: lambda data: zstandard.ZstdCompressor().compress(data),
    PLAIN: lambda data: data,
}

Member = tuple[tarfile.TarInfo, bytes]


def file(name: str, body: bytes = b"", mode: int = 0o644, **more: Any) -> Member:
    return member(name, tarfile.REGTYPE, body, mode=mode, **more)


def directory(name: str, mode: int = 0o755) -> Member:
    return member(name, tarfile.DIRTYPE, mode=mode)


def link(name: str, target: str) -> Member:
    return member(name, tarfile.SYMTYPE, linkname=target, mode=0o777)


def hard_link(name: str, target: str) -> Member:
    return member(name, tarfile.LNKTYPE, linkname=target)


def member(name: str, kind: bytes, body: bytes = b"", **fields: Any) -> Member:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, len(body)
    for field, value in fields.items():
        setattr(made, field, value)
    return made, body


def tar(*members: Member) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        for info, body in members:
            made.addfile(info, io.BytesIO(body))
    return out.getvalue()


def layout(
    place: Path,
    layers: Sequence[bytes],
    *,
    config: dict[str, Any] | None = None,
    media_type: str = GZIP,
    architecture: str = MACHINE,
) -> Path:
    blobs = place / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(body: bytes, kind: str) -> dict[str, Any]:
        name = hashlib.sha256(body).hexdigest()
        (blobs / name).write_bytes(body)
        return {"mediaType": kind, "digest": f"sha256:{name}", "size": len(body)}

    about = {"architecture": architecture, "os": "linux", "config": config or {}}
    manifest = {
        "schemaVersion": 2,
        "config": put(json.dumps(about).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [put(PACK[media_type](each), media_type) for each in layers],
    }
    kind = "application/vnd.oci.image.manifest.v1+json"
    chosen = put(json.dumps(manifest).encode(), kind)
    chosen["platform"] = {"os": "linux", "architecture": architecture}
    (place / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [chosen]}))
    (place / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return place


CGI = b"""#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
touch /mark 2>/dev/null && root=writable || root=read-only
echo x >>"$ROUSE_DATA/calls"
echo "user $(id -u)"
echo "cwd $START"
echo "image $FROM_IMAGE"
echo "template $FROM_TEMPLATE"
echo "root $root"
echo "calls $(wc -l <"$ROUSE_DATA/calls")"
echo "usr $(ls /usr 2>/dev/null | wc -l)"
"""


def serving(place: Path) -> Path:
    """An image of a busybox that serves `/cgi-bin/tell`, and says by its config how."""
    found = shutil.which("busybox")
    assert found is not None, "no busybox: scripts/tools installs it"
    busybox = Path(found).read_bytes()
    applets = [link(f"bin/{name}", "busybox") for name in ("sh", "id", "touch", "wc", "ls", "tr")]
    base = tar(directory("bin"), file("bin/busybox", busybox, 0o755), *applets, directory("srv"))
    www = tar(
        directory("www/cgi-bin"),
        file("www/cgi-bin/tell", CGI, 0o755),
        file("etc/passwd", b"root:x:0:0::/:/bin/sh\nweb:x:77:77::/srv:/bin/sh\n"),
    )
    config = {
        "Entrypoint": ["/bin/sh", "-c"],
        "Cmd": ['export START="$PWD"; exec busybox httpd -f -p "0.0.0.0:$PORT" -h /www'],
        "Env": ["FROM_IMAGE=yes", "FROM_TEMPLATE=no", "PATH=/bin"],
        "WorkingDir": "/srv",
        "User": "web",
    }
    return layout(place, [base, www], config=config)
