"""The product's surface with behaviour, for those who know it by HTTP only: tour and load test.

One process stands for edge and admin API. Actors wake, freeze and sleep by the clock as it is
looked at; each running one is a real process, so that its end can be seen. `faults` break it.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

COLD = "cold; total=12.5, queue=0.1, claim=1.0, fetch=2.0, restore=4.0, ready=5.4"


@dataclass(slots=True, kw_only=True)
class FakeActor:
    name: str
    state: str = "SUSPENDED"
    ram: int = 0
    file: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None
    last: float = 0.0
    snapshot: str | None = None
    waking: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(kw_only=True)
class FakeProduct:
    freeze_after_s: float = 0.1
    suspend_after_s: float = 0.4
    wake_s: float = 0.02
    faults: frozenset[str] = frozenset()
    """`lost-file`, `left-process`, `never-frozen`, `silent-wake`, `memory-lost-by-thaw`,
    `wrong-actor`, `refuses-templates`, `two-copies`, `unavailable`."""
    actors: dict[str, FakeActor] = field(default_factory=dict)
    templates: list[dict[str, Any]] = field(default_factory=list)
    wakes: list[str] = field(default_factory=list)
    edge_url: str = ""
    admin_url: str = ""

    # Actors ---------------------------------------------------------------------------------

    async def look(self, name: str) -> FakeActor | None:
        """The actor as the clock says it is by now."""
        actor = self.actors.get(name)
        if actor is not None and actor.state == "RUNNING":
            if time.monotonic() - actor.last > self.suspend_after_s:
                await self.put_to_sleep(actor)
        return actor

    def is_frozen(self, actor: FakeActor) -> bool:
        idle = time.monotonic() - actor.last
        return "never-frozen" not in self.faults and idle > self.freeze_after_s

    async def put_to_sleep(self, actor: FakeActor) -> None:
        actor.state, actor.snapshot = "SUSPENDED", f"1-{len(self.wakes)}"
        if "lost-file" in self.faults:
            actor.files.clear()
        if actor.process is not None and "left-process" not in self.faults:
            await _end(actor.process)

    async def wake(self, actor: FakeActor) -> str | None:
        """Wake or thaw it where needed; what Rouse-Wake then says."""
        was_running = actor.state == "RUNNING"
        async with actor.waking:
            if actor.state != "RUNNING" or (not was_running and "two-copies" in self.faults):
                before = actor.process
                # A wake takes its time: a herd's others come while it goes on.
                await asyncio.sleep(self.wake_s)
                actor.process = await asyncio.create_subprocess_exec("sleep", "60")
                if before is not None and "left-process" not in self.faults:
                    await _end(before)
                actor.ram, actor.state = 0, "RUNNING"
                self.wakes.append(actor.name)
            elif was_running:
                frozen = self.is_frozen(actor)
                if frozen and "memory-lost-by-thaw" in self.faults:
                    actor.ram = 0
                return "thaw; total=0.4" if frozen else None
        return None if "silent-wake" in self.faults else COLD

    # Edge -----------------------------------------------------------------------------------

    async def on_edge(self, request: web.Request) -> web.StreamResponse:
        if "unavailable" in self.faults:
            error = {"code": 503, "reason": "unavailable", "message": "the table cannot be reached"}
            return web.json_response({"error": error}, status=503)
        name = request.host.partition(".")[0]
        actor = await self.look(name) or self.actors.setdefault(name, FakeActor(name=name))
        wake = await self.wake(actor)
        answer = await self.answer(actor, request)
        actor.last = time.monotonic()
        if wake is not None:
            answer.headers["Rouse-Wake"] = wake
        return answer

    async def answer(self, actor: FakeActor, request: web.Request) -> web.Response:
        if request.path.startswith("/files/"):
            if request.method == "PUT":
                actor.files[request.path] = await request.read()
                return web.Response(status=201)
            found = actor.files.get(request.path)
            return web.Response(status=404) if found is None else web.Response(body=found)
        if request.path == "/":
            actor.ram, actor.file = actor.ram + 1, actor.file + 1
        assert actor.process is not None
        who = "someone-else" if "wrong-actor" in self.faults else actor.name
        return web.json_response(
            {
                "ram": actor.ram,
                "file": actor.file,
                "actor": f"{request.host.split('.')[1]}/{who}",
                "pid": actor.process.pid,
            }
        )

    # Admin ----------------------------------------------------------------------------------

    async def on_template(self, request: web.Request) -> web.Response:
        if "refuses-templates" in self.faults:
            error = {"reason": "bad-document", "message": "spec.comand: did you mean command?"}
            return web.json_response({"error": error}, status=400)
        self.templates.append(await request.json())
        return web.json_response({})

    async def on_actor(self, request: web.Request) -> web.Response:
        actor = await self.look(request.match_info["name"])
        if actor is None:
            raise web.HTTPNotFound
        residence = None
        if actor.state == "RUNNING" and actor.process is not None:
            state = "frozen" if self.is_frozen(actor) else "running"
            residence = {
                "state": state,
                "runtime": "process",
                "pid": actor.process.pid,
                "memory": 9_000_000,
            }
        return web.json_response(
            {"state": actor.state, "snapshot": actor.snapshot, "residence": residence}
        )

    async def on_suspend(self, request: web.Request) -> web.Response:
        actor = self.actors[request.match_info["name"]]
        json.loads(await request.read())
        if actor.state == "RUNNING":
            await self.put_to_sleep(actor)
        return web.json_response({})

    async def on_ready(self, request: web.Request) -> web.Response:
        return web.Response(text="ok")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FakeProduct"]:
        edge, admin = web.Application(), web.Application()
        edge.router.add_route("*", "/{path:.*}", self.on_edge)
        actor = "/v1/namespaces/{namespace}/actors/{name}"
        admin.router.add_post("/v1/templates", self.on_template)
        admin.router.add_get(actor, self.on_actor)
        admin.router.add_post(f"{actor}/suspend", self.on_suspend)
        admin.router.add_get("/readyz", self.on_ready)
        runners = [web.AppRunner(app, access_log=None) for app in (edge, admin)]
        try:
            urls = [await _listen(runner) for runner in runners]
            self.edge_url, self.admin_url = urls
            yield self
        finally:
            for runner in runners:
                await runner.cleanup()
            for left in self.actors.values():
                if left.process is not None:
                    await _end(left.process)


async def _listen(runner: web.AppRunner) -> str:
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return f"http://{host}:{port}"


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
