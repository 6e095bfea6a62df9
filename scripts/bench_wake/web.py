"""The actor that is forked: an aiohttp server that counts in a file, as a small agent would be.
Its imports are what its plain start takes longest for."""

import os
from pathlib import Path

from aiohttp import ClientSession, web

COUNT = Path(os.environ.get("ROUSE_DATA", ".")) / "count"


async def count(request: web.Request) -> web.Response:
    counted = int(COUNT.read_text()) + 1 if COUNT.exists() else 1
    COUNT.write_text(str(counted))
    return web.Response(text=str(counted))


async def healthz(request: web.Request) -> web.Response:
    return web.Response(text="ok")


def app() -> web.Application:
    made = web.Application()
    made.add_routes([web.get("/healthz", healthz), web.get("/", count)])
    return made


if __name__ == "__main__":
    # What an agent would call its model with, had it one.
    assert ClientSession is not None
    web.run_app(app(), host="127.0.0.1", port=int(os.environ["PORT"]), print=None)
