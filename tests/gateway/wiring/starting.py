"""Parts of a process, started in a test: real Redis, real drivers, kernel-chosen ports."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.settings import Role, Settings, load
from gateway.wiring.backbone import Backbone, Part
from lifecycle.documents import parse_template
from placement.catalog import Catalog
from tests.system.product import counter

KEY = "correct-horse-battery-staple"


def settings_of(
    role: Role, data: Path, redis_url: str | None, *, key: bool = False, **overrides: object
) -> Settings:
    """`edge__listen="..."` is the setting edge.listen. Nothing listens where a user's would."""
    named: dict[str, object] = {
        "redis.url": redis_url,
        "edge.listen": "127.0.0.1:0",
        "admin.listen": "127.0.0.1:0",
        "edge.access_log": False,
        "worker.runtime": "process",
    }
    if role != "up":
        named["snapshots.url"] = f"file://{data / 'snapshots'}"
        named["snapshots.key_file"] = _snapshot_key(data)
    named |= {name.replace("__", "."): value for name, value in overrides.items()}
    environ = {"HOME": str(data), "ROUSE_DATA_DIR": str(data)}
    if key:
        data.mkdir(parents=True, exist_ok=True)
        (data / "shared.key").write_text(KEY + "\n")
        environ["ROUSE_SHARED_KEY_FILE"] = str(data / "shared.key")
    return load(role, None, environ, named)


def _snapshot_key(data: Path) -> Path:
    """Beside the data directory, which the test may not want to exist yet."""
    key = next(p for p in data.parents if p.is_dir()) / f"{data.name}.snapshot.key"
    key.write_text("5e" * 32)
    key.chmod(0o600)
    return key


@asynccontextmanager
async def running_parts(parts: Sequence[Part]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run(), name=name) for name, run in parts]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def apply_counter(spine: Backbone, **spec: Any) -> None:
    await apply(spine.catalog, counter(runtime={"class": "process"}, **spec))


async def apply(catalog: Catalog, document: Mapping[str, Any]) -> None:
    parsed = parse_template(document)
    template = parsed.template
    await catalog.put(template.namespace, template.name, parsed.canonical, template.digest)
