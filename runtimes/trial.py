"""Try a driver for real: start a sandbox that runs `true`, and see it end well."""

import os
import shutil
from pathlib import Path

from runtimes.base import Driver, RuntimeFailure, SandboxSpec
from runtimes.logs import tail
from runtimes.spawn import in_thread

_TOLD_BYTES = 300


async def fails(driver: Driver, root: Path) -> str:
    """Why it does not work here; empty when it does."""
    place = root / f"probe-{os.getpid()}"
    spec = SandboxSpec(
        actor="rouse/probe",
        uid=os.urandom(8).hex(),
        epoch=0,
        directory=place / "run",
        command=("true",),
        working_dir=None,
        env={},
        ports={},
        durable={},
        log=place / "log",
    )
    try:
        handle = await driver.start(spec)
        how = await driver.wait(handle)
        await driver.stop(handle, 0)
        why = "" if how.code == 0 else f"{driver.runtime} {how}"
    except (RuntimeFailure, OSError) as error:
        why = str(error)
    try:
        said = await in_thread(lambda: tail(spec.log, _TOLD_BYTES))
    finally:
        await in_thread(lambda: shutil.rmtree(place, ignore_errors=True))
    words = said.decode(errors="replace").strip()
    return f"{why}: {words}" if why and words else why
