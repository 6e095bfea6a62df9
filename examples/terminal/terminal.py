"""A terminal over WebSocket: one shell per actor, which goes on when nobody looks.

What is sent is typed, what comes is what the shell wrote. Who comes later is first told what was
written before. aiohttp is the Python's that runs rouse, so it needs nothing more.
"""

import asyncio
import os
import pty
import signal
from collections.abc import AsyncIterator

from aiohttp import WSMsgType, web

KEEP = 64_000
"""Bytes of output for who comes later."""


class Shell:
    def __init__(self) -> None:
        pid, self.terminal = pty.fork()
        if pid == 0:
            os.chdir(os.environ.get("ROUSE_DATA", "."))
            os.execvp("sh", ["sh", "-i"])
        self.pid = pid
        os.set_blocking(self.terminal, False)
        self.said = b""
        self.watching: set[web.WebSocketResponse] = set()

    async def run(self) -> None:
        """Ends with the shell."""
        loop, readable = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.terminal, readable.set)
        while True:
            await readable.wait()
            readable.clear()
            try:
                data = os.read(self.terminal, 65_536)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                break
            self.said = (self.said + data)[-KEEP:]
            for socket in list(self.watching):
                if not socket.closed:
                    await socket.send_bytes(data)
        loop.remove_reader(self.terminal)
        for socket in list(self.watching):
            await socket.close(message=b"the shell has ended")
        # As any program that is done: the actor sleeps, and the next visitor gets a new shell.
        signal.raise_signal(signal.SIGTERM)

    async def talk(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=30)
        await socket.prepare(request)
        if self.said:
            await socket.send_bytes(self.said)
        self.watching.add(socket)
        try:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    data = message.data
                    os.write(self.terminal, data.encode() if isinstance(data, str) else data)
        finally:
            self.watching.discard(socket)
        return socket


SHELL = web.AppKey("shell", Shell)


async def shell(app: web.Application) -> AsyncIterator[None]:
    app[SHELL] = Shell()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(app[SHELL].run(), name="shell")
        yield
        running.cancel()


async def healthz(_: web.Request) -> web.Response:
    return web.Response(text="ok")


async def talk(request: web.Request) -> web.StreamResponse:
    return await request.app[SHELL].talk(request)


if __name__ == "__main__":
    app = web.Application()
    app.cleanup_ctx.append(shell)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/shell", talk)
    host = os.environ.get("HOST", "127.0.0.1")
    web.run_app(app, host=host, port=int(os.environ["PORT"]), print=None, shutdown_timeout=1)
