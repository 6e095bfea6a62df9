"""What Python's usual libraries make of a proxy: aiohttp's server and client on uvloop.

`python aiohttp_proxy.py PORT BACKEND_PORT`; streams bodies both ways, drops hop-by-hop fields.
"""

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web
from multidict import CIMultiDict

HOP = ("Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "TE", "Trailer")
_CHUNK = 256 * 1024


def end_to_end(fields: "CIMultiDict[str]") -> "CIMultiDict[str]":
    for name in HOP:
        fields.popall(name, None)
    return fields


def make_app(backend: str) -> web.Application:
    app = web.Application()

    async def session(app: web.Application) -> None:
        app["session"] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )

    async def close(app: web.Application) -> None:
        await app["session"].close()

    async def relay(request: web.Request) -> web.StreamResponse:
        fields = end_to_end(CIMultiDict(request.headers))
        fields["X-Forwarded-For"] = request.remote or ""
        async with request.app["session"].request(
            request.method,
            backend + request.path_qs,
            headers=fields,
            data=request.content if request.can_read_body else None,
            allow_redirects=False,
        ) as upstream:
            answer = web.StreamResponse(
                status=upstream.status, headers=end_to_end(CIMultiDict(upstream.headers))
            )
            await answer.prepare(request)
            async for chunk in upstream.content.iter_chunked(_CHUNK):
                await answer.write(chunk)
            await answer.write_eof()
            return answer

    app.on_startup.append(session)
    app.on_cleanup.append(close)
    app.router.add_route("*", "/{path:.*}", relay)
    return app


async def main(port: int, backend_port: int) -> None:
    # Keep-alive without end: idle connections are what is counted in one of the measurements.
    runner = web.AppRunner(
        make_app(f"http://127.0.0.1:{backend_port}"), access_log=None, keepalive_timeout=3600
    )
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(int(sys.argv[1]), int(sys.argv[2])))
