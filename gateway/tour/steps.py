"""The tour itself: what is shown, in which order, and what must be true at each step."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import aiohttp

from gateway.tour.stage import Stage, bars, told, wants_colour
from gateway.tour.visitor import Answer, Mismatch, Visitor
from lifecycle import documents
from lifecycle.strict import NotUnderstood

NAMESPACE = "demo"
FIRST = "c1"
HERD = tuple(f"c{number}" for number in range(2, 12))
NOTE = b"written before it slept\n"
REQUEST_BUDGET_S = 40.0
PATIENCE_S = 15.0
"""How much longer than the template says a change of state may take on a busy machine."""
LOOK_EVERY_S = 0.05


async def tour(
    edge_url: str,
    admin_url: str,
    *,
    examples: Path,
    out: TextIO,
    once: bool,
    patience_s: float = PATIENCE_S,
) -> int:
    """Show the product to whoever reads `out`; 0 when every step was as said, else 1.

    `examples` is the directory that holds `counter/template.yaml`. `once` only changes the
    farewell: without it the product goes on serving afterwards.
    """
    stage = Stage(out, steps=7, colour=wants_colour(out, os.environ))
    timeout = aiohttp.ClientTimeout(total=REQUEST_BUDGET_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        visitor = Visitor(session, edge_url=edge_url, admin_url=admin_url)
        template = examples / "counter" / "template.yaml"
        began = time.monotonic()
        try:
            await Tour(visitor, stage, template, patience_s=patience_s).walk()
        except Mismatch as mismatch:
            stage.failed(str(mismatch))
            return 1
    stage.heading(f"All seven steps were as said, in {time.monotonic() - began:.0f} s.")
    if not once:
        _farewell(stage, visitor)
    return 0


def _farewell(stage: Stage, visitor: Visitor) -> None:
    url = visitor.url_of(FIRST, NAMESPACE)
    stage.heading("It goes on serving. To try:")
    stage.say(f"curl {url}")
    stage.say(f"curl {visitor.edge_url}/actors/{NAMESPACE}/{FIRST}/    the same actor, by path")
    stage.say(f"curl -N '{url}events?n=5'    a stream, which keeps it awake")
    stage.say(f"curl {visitor.url_of('any-name', NAMESPACE)}    an actor that does not exist yet")
    stage.say(f".venv/bin/rouse actor list -n {NAMESPACE} --admin-url {visitor.admin_url}")
    stage.say("Ctrl-C suspends every actor and ends.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What the counter answered of itself."""

    ram: int
    file: int
    actor: str

    @classmethod
    def of(cls, answer: Answer, name: str) -> "Count":
        told = answer.expect(200).json()
        try:
            count = cls(ram=told["ram"], file=told["file"], actor=told["actor"])
        except (KeyError, TypeError):
            raise Mismatch(f"this is not the counter's answer: {answer.body[:200]!r}") from None
        if count.actor != f"{NAMESPACE}/{name}":
            raise Mismatch(f"asked {NAMESPACE}/{name}, but {count.actor} answered")
        return count


class Tour:
    """Seven steps; what one finds, the later ones go on from."""

    def __init__(
        self, visitor: Visitor, stage: Stage, template: Path, *, patience_s: float
    ) -> None:
        self._visitor = visitor
        self._stage = stage
        self._template = template
        self._patience_s = patience_s
        self._freeze_after = self._suspend_after = ""
        self._count = Count(ram=0, file=0, actor="")
        self._pid: int | None = None

    async def walk(self) -> None:
        await self.apply_the_template()
        await self.wake_for_the_first_request()
        await self.answer_warm()
        await self.freeze_and_thaw()
        await self.suspend()
        await self.wake_again()
        await self.wake_ten_at_once()

    async def apply_the_template(self) -> None:
        self._stage.step("A template says how an actor of its kind is run")
        document = self._read_template()
        (await self._visitor.ask_admin("POST", "/v1/templates", document)).expect(200, 201)
        idle = document["spec"].get("idle", {})
        self._freeze_after = idle.get("freezeAfter", "a while")
        self._suspend_after = idle.get("suspendAfter", "a longer while")
        command = " ".join(map(str, document["spec"].get("command", ())))
        self._stage.seen(f"applied {self._template.name}: {command}")
        self._stage.say(f"From now on any name in the namespace {NAMESPACE!r} is an actor of it.")

    def _read_template(self) -> Any:
        """The document as it goes over the wire: there a relative path would have no meaning."""
        try:
            given = documents.read_all(self._template.read_text(encoding="utf-8"))[0]
        except OSError as error:
            raise Mismatch(f"{self._template}: {error.strerror}") from error
        except NotUnderstood as error:
            raise Mismatch(f"{self._template}: {error}") from error
        return documents.with_absolute_dir(given, self._template.parent)

    async def wake_for_the_first_request(self) -> None:
        known = await self._put_to_sleep(FIRST)
        if known:
            self._stage.step("A request to an actor that sleeps since an earlier tour")
        else:
            self._stage.step("A request to an actor that has never run")
        self._stage.say(f"GET {self._visitor.url_of(FIRST, NAMESPACE)}")
        answer = await self._visitor.visit(FIRST, NAMESPACE)
        self._count = Count.of(answer, FIRST)
        self._show_wake(answer, "cold")
        if not known:
            self._expect_file(1, "of a new actor")
        saved = await self._visitor.visit(FIRST, NAMESPACE, "/files/note.txt", body=NOTE)
        saved.expect(200, 201)
        self._stage.say("PUT /files/note.txt: a file, to be looked for later.")

    async def answer_warm(self) -> None:
        self._stage.step("The next request finds it awake")
        answer = await self._visitor.visit(FIRST, NAMESPACE)
        if answer.wake is not None:
            raise Mismatch(f"expected no wake, was told: {told(answer.wake)}")
        self._raised_both(Count.of(answer, FIRST))
        self._stage.seen(f"{self._counters()}, in {answer.took_ms:.1f} ms")

    async def freeze_and_thaw(self) -> None:
        idle = self._freeze_after
        self._stage.step(f"Nobody calls for {idle}: it is frozen, in memory, without CPU")
        actor = await self._until(
            f"frozen, {idle} after its last request",
            lambda actor: (actor.get("residence") or {}).get("state") == "frozen",
        )
        residence = actor["residence"]
        self._pid = residence.get("pid")
        memory = (residence.get("memory") or 0) / 1e6
        self._stage.seen(
            f"frozen: process {self._pid} ({residence.get('runtime')}), {memory:.0f} MB"
        )
        answer = await self._visitor.visit(FIRST, NAMESPACE)
        self._raised_both(Count.of(answer, FIRST))
        self._stage.seen(f"the next request thawed it, in {answer.took_ms:.1f} ms")
        self._stage.seen(f"{self._counters()}: the counter in memory went on")

    async def suspend(self) -> None:
        idle = self._suspend_after
        self._stage.step(f"Nobody calls for {idle}: it is suspended, its slot is free")
        actor = await self._until(
            f"SUSPENDED, {idle} after its last request",
            lambda actor: actor.get("state") == "SUSPENDED",
        )
        if not actor.get("snapshot"):
            raise Mismatch("it is SUSPENDED, but no snapshot is named")
        self._stage.seen(f"its files are in snapshot {actor['snapshot']}")
        if self._pid is not None:
            await self._until_gone(self._pid)
            self._stage.seen(f"process {self._pid} is gone")

    async def wake_again(self) -> None:
        self._stage.step("The next request wakes it, with its files as they were")
        answer = await self._visitor.visit(FIRST, NAMESPACE)
        before, self._count = self._count, Count.of(answer, FIRST)
        self._show_wake(answer, "cold")
        self._expect_file(before.file + 1, "after the wake")
        note = await self._visitor.visit(FIRST, NAMESPACE, "/files/note.txt")
        if note.expect(200).body != NOTE:
            raise Mismatch(f"note.txt changed while it slept: {note.body[:200]!r}")
        self._stage.seen("the counter on disk went on, and note.txt is as it was")
        if self._count.ram == 1:
            self._stage.say("The one in memory began anew: this runtime keeps files, not memory.")
        elif self._count.ram == before.ram + 1:
            self._stage.say("The one in memory went on too: this runtime keeps memory.")
        else:
            raise Mismatch(f"expected ram 1 or {before.ram + 1}, got {self._count.ram}")

    async def wake_ten_at_once(self) -> None:
        self._stage.step("Ten sleeping actors, ten requests, at once")
        for name in HERD:
            await self._put_to_sleep(name)
        began = time.perf_counter()
        answers = await asyncio.gather(*(self._visitor.visit(name, NAMESPACE) for name in HERD))
        took_ms = (time.perf_counter() - began) * 1000
        for name, answer in zip(HERD, answers, strict=True):
            Count.of(answer, name)
            if answer.wake is None or answer.wake.kind != "cold":
                raise Mismatch(f"{NAMESPACE}/{name} slept, but its answer tells of no cold wake")
        self._stage.seen(f"ten wakes, ten right answers, {took_ms:.0f} ms from first to last")
        rows = [(name, answer.took_ms) for name, answer in zip(HERD, answers, strict=True)]
        for line in bars(rows):
            self._stage.say(line)

    async def _put_to_sleep(self, name: str) -> bool:
        """Have it suspended if an earlier tour left it awake; was it known at all?"""
        path = f"/v1/namespaces/{NAMESPACE}/actors/{name}"
        answer = (await self._visitor.ask_admin("GET", path)).expect(200, 404)
        if answer.status == 404:
            return False
        if answer.json().get("state") not in ("SUSPENDED", "FAILED"):
            asked = await self._visitor.ask_admin("POST", f"{path}/suspend", {"wait": "10s"})
            asked.expect(200, 202, 204)
        return True

    async def _until(self, wanted: str, is_so: Callable[[Any], bool]) -> Any:
        """The actor's own record, as soon as it is so."""
        path = f"/v1/namespaces/{NAMESPACE}/actors/{FIRST}"
        last: dict[str, Any] = {}

        async def look() -> bool:
            last.update((await self._visitor.ask_admin("GET", path)).expect(200).json())
            return is_so(last)

        if not await _within(self._patience_s, look):
            inside = (last.get("residence") or {}).get("state", "nowhere")
            raise Mismatch(f"expected it {wanted}; it is {last.get('state')}, in memory {inside}")
        return last

    async def _until_gone(self, pid: int) -> None:
        async def is_gone() -> bool:
            return not is_alive(pid)

        if not await _within(self._patience_s, is_gone):
            raise Mismatch(f"it is SUSPENDED, but its process {pid} is still there")

    def _raised_both(self, count: Count) -> None:
        expected = (self._count.ram + 1, self._count.file + 1)
        if (count.ram, count.file) != expected:
            raise Mismatch(f"expected ram and file {expected}, got {(count.ram, count.file)}")
        self._count = count

    def _expect_file(self, expected: int, when: str) -> None:
        if self._count.file != expected:
            raise Mismatch(
                f"expected the file counter at {expected} {when}, got {self._count.file}"
            )

    def _show_wake(self, answer: Answer, kind: str) -> None:
        if answer.wake is None or answer.wake.kind != kind:
            found = "no Rouse-Wake" if answer.wake is None else told(answer.wake)
            raise Mismatch(f"expected a {kind} wake, was told: {found}")
        self._stage.seen(f"{self._counters()}, in {answer.took_ms:.0f} ms")
        self._stage.say(told(answer.wake))

    def _counters(self) -> str:
        return f"200, ram {self._count.ram}, file {self._count.file}"


def is_alive(pid: int) -> bool:
    """Is there a process of this id (another user's too)?"""
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True


async def _within(seconds: float, is_so: Callable[[], Awaitable[bool]]) -> bool:
    """Look again and again: what is watched here is another process, which tells nobody."""
    ends = time.monotonic() + seconds
    while not await is_so():
        if time.monotonic() > ends:
            return False
        await asyncio.sleep(LOOK_EVERY_S)
    return True
