"""Copies of an actor's directories, on this machine."""

import asyncio
from collections.abc import Iterable
from pathlib import Path


async def copy_into(directories: Iterable[Path], into: Path) -> None:
    """Each under its own name. By cp, which knows of holes, links and shared extents, and can be
    stopped in the midst. Raises OSError."""
    words = ["cp", "-a", "--reflink=auto", "--", *map(str, directories), str(into)]
    process = await asyncio.create_subprocess_exec(
        *words, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, said = await process.communicate()
    except BaseException:
        process.kill()
        await asyncio.shield(process.wait())
        raise
    if process.returncode:
        raise OSError(f"files could not be copied: {said.decode(errors='replace')[-200:]}")
