"""What every driver promises, on real processes. A subclass gives `make`, a driver for a root.

Whether a started program is ready is the host's business; the suite asks until it answers.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtimes import procfs
from runtimes.base import Driver, Exit, Handle, Resources, RuntimeFailure, SandboxSpec, Scope
from runtimes.logs import tail
from tests.contract import remains

PROGRAM = Path(__file__).with_name("actor.py")
SCALE = float(os.environ.get("ROUSE_TEST_SCALE", "1"))
SOON_S = 10.0 * SCALE
STILL_S = 0.05
"""Of CPU, in 0.2 s: a kernel of its own that stands by and takes a connection uses a little."""


async def until(question: Callable[[], Awaitable[Any]], *, within_s: float = SOON_S) -> Any:
    """The first answer that is true; asking again is how one waits for another process."""
    async with asyncio.timeout(within_s):
        while True:
            if found := await question():
                return found
            await asyncio.sleep(0.005)


@dataclass
class Answer:
    status: int
    body: Any


@dataclass
class Bench:
    """One driver at its root, and the sandboxes a test has begun with it."""

    root: Path
    make: Callable[[Path], Driver]
    driver: Driver = field(init=False)
    begun: list[Handle] = field(default_factory=list)
    soon_s: float = SOON_S
    """How long a program may take to come up here."""

    def __post_init__(self) -> None:
        self.driver = self.make(self.root / "driver")

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """For the time of a test; nothing is left after it. CI must have what a desk may lack."""
        found = await self.driver.fingerprint()
        if not found.works:
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI must have it: {found.why_not}")
            pytest.skip(found.why_not)
        yield
        for handle in self.begun:
            await self.driver.stop(handle, 0)
        await self.driver.sweep(())
        assert self.leftovers() == set()

    def spec(self, *arguments: str, **changes: Any) -> SandboxSpec:
        uid = uuid.uuid4().hex[:16]
        home = self.root / "copies" / uid
        data = home / "data"
        data.mkdir(parents=True)
        plain = SandboxSpec(
            actor="demo/c1",
            uid=uid,
            epoch=1,
            directory=home / "run",
            command=("python3", str(PROGRAM), *arguments),
            working_dir=PROGRAM.parent,
            env={"GREETING": "hello"},
            ports={"http": 8080},
            durable={"/data": data},
            log=self.root / "logs" / f"{uid}.log",
        )
        return msgspec.structs.replace(plain, **changes)

    async def start(self, *arguments: str, **changes: Any) -> Handle:
        handle = await self.driver.start(self.spec(*arguments, **changes))
        self.begun.append(handle)
        return handle

    async def started(self, *arguments: str, **changes: Any) -> Handle:
        """Started, and it answers."""
        handle = await self.start(*arguments, **changes)
        await until(lambda: self.try_get(handle), within_s=self.soon_s)
        return handle

    async def get(self, handle: Handle, target: str = "/", within_s: float = SOON_S) -> Answer:
        endpoint = next(iter(handle.endpoints.values()))
        loop = asyncio.get_running_loop()
        with endpoint.open_socket() as asker:
            async with asyncio.timeout(within_s):
                await loop.sock_connect(asker, endpoint.sockaddr)
                await loop.sock_sendall(asker, f"GET {target} HTTP/1.0\r\n\r\n".encode())
                received = b""
                while chunk := await loop.sock_recv(asker, 65_536):
                    received += chunk
        head, _, body = received.partition(b"\r\n\r\n")
        if not body:
            raise ConnectionResetError("no answer")
        return Answer(int(head.split()[1]), json.loads(body))

    async def try_get(self, handle: Handle, target: str = "/") -> Answer | None:
        try:
            return await self.get(handle, target, within_s=2.0 * SCALE)
        except OSError:
            return None

    async def tell(self, handle: Handle, target: str) -> Any:
        answer = await self.get(handle, target)
        assert answer.status == 200, answer
        return answer.body

    def log_of(self, handle: Handle) -> bytes:
        return tail(self.root / "logs" / f"{handle.uid}.log", 10_000_000)

    def leftovers(self) -> set[procfs.Pid]:
        """Processes that carry this test's directory in command line, environment or mounts."""
        mark = str(self.root).encode()
        return {
            procfs.Pid(person.pid, person.started)
            for person in procfs.everyone()
            if person.pid != os.getpid() and mark in remains.told_by(person.pid)
        }


def command_lines() -> Iterator[bytes]:
    for person in procfs.everyone():
        with contextlib.suppress(OSError):
            yield Path(f"/proc/{person.pid}/cmdline").read_bytes()


def traces(bench: Bench, handle: Handle) -> list[Path]:
    """What a stopped sandbox must not have left on disk."""
    places = [handle.directory / "output", *(bench.root / "driver").glob("*.json")]
    if handle.cgroup is not None:
        places.append(Path(handle.cgroup))
    return [place for place in places if place.exists()]


class DriverContract:
    """Subclass it as `Test...` and give `make`."""

    rounds = 50
    freezes = 80
    has_while_it_runs = frozenset({"process", "file"})

    def make(self, root: Path) -> Driver:
        raise NotImplementedError

    @pytest.fixture
    async def bench(self, tmp_path: Path) -> AsyncIterator[Bench]:
        bench = Bench(root=tmp_path, make=self.make)
        async with bench.working():
            yield bench

    # Start and talk

    async def test_started_program_answers_on_its_endpoint(self, bench: Bench) -> None:
        handle = await bench.started()
        assert (await bench.get(handle)).body == "hello"
        assert (await bench.driver.inspect(handle)).alive

    async def test_every_declared_port_has_an_endpoint_and_a_variable(self, bench: Bench) -> None:
        handle = await bench.started(ports={"http": 8080, "side-door": 9090})
        env = await bench.tell(handle, "/env")
        assert {name: end.declared for name, end in handle.endpoints.items()} == {
            "http": 8080,
            "side-door": 9090,
        }
        assert env["PORT"] == env["PORT_HTTP"] == str(handle.endpoints["http"].port)
        assert env["PORT_SIDE_DOOR"] == str(handle.endpoints["side-door"].port)

    async def test_two_sandboxes_of_one_template_do_not_meet(self, bench: Bench) -> None:
        one, two = await bench.started(), await bench.started()
        await bench.driver.stop(one, 0)
        assert (await bench.get(two)).body == "hello"
        with pytest.raises(OSError):
            await bench.get(one, within_s=2)

    async def test_missing_program_is_a_failure_that_names_it(self, bench: Bench) -> None:
        with pytest.raises(RuntimeFailure, match="no-such-program") as failure:
            await bench.start(command=("no-such-program",))
        assert not failure.value.retryable

    async def test_full_images_are_refused_where_not_in_scope(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        spec = bench.spec()
        keeps_memory = Scope.FULL in bench.driver.capabilities().scopes
        assert bool(bench.driver.image_terms(spec)) == keeps_memory
        if not keeps_memory:
            with pytest.raises(RuntimeFailure):
                await bench.driver.checkpoint(await bench.start(), tmp_path / "image")
        with pytest.raises(RuntimeFailure):
            await bench.driver.restore(spec, tmp_path / "image")

    # What the program sees

    async def test_environment_is_the_spec_and_what_the_driver_adds(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WORKER_SECRET", "of-the-worker-alone")
        env = await bench.tell(await bench.started(), "/env")
        added = {"PORT", "PORT_HTTP", "ROUSE_ACTOR", "ROUSE_DATA", "HOME", "PATH", "LANG", "TMPDIR"}
        # Set by Python itself where LANG says C, by bubblewrap when it changes directory, and where
        # the program's loopback is out of reach.
        assert set(env) - {"LC_CTYPE", "PWD", "HOST"} == added | {"GREETING"}
        assert (env["GREETING"], env["ROUSE_ACTOR"]) == ("hello", "demo/c1")
        assert os.environ["WORKER_SECRET"] not in str(env)

    async def test_nothing_is_inherited_but_three_descriptors(self, bench: Bench) -> None:
        reading, writing = os.pipe()
        os.set_inheritable(writing, True)
        try:
            handle = await bench.started()

            async def has_its_own_alone() -> bool:
                # The listener, this connection, the descriptor that lists the directory; and for
                # an instant the connection before this one.
                inside = await bench.tell(handle, "/fds")
                return bool(inside[:3] == [0, 1, 2] and len(inside) == 6)

            await until(has_its_own_alone)
        finally:
            os.close(reading)
            os.close(writing)

    async def test_secrets_of_the_environment_are_in_no_command_line(self, bench: Bench) -> None:
        handle = await bench.started(env={"TOKEN": "correct-horse"})
        assert not [line for line in command_lines() if b"correct-horse" in line]
        assert (await bench.tell(handle, "/env"))["TOKEN"] == "correct-horse"

    async def test_starts_in_its_working_directory(self, bench: Bench) -> None:
        where = await bench.tell(await bench.started(), "/where")
        assert where["cwd"] == str(PROGRAM.parent)

    async def test_durable_files_are_the_hosts_both_ways(self, bench: Bench) -> None:
        spec = bench.spec()
        (spec.durable["/data"] / "before").write_text("restored")
        handle = await bench.started(uid=spec.uid, durable=spec.durable, directory=spec.directory)
        data = (await bench.tell(handle, "/env"))["ROUSE_DATA"]
        assert await bench.tell(handle, f"/read?file={data}/before") == "restored"
        await bench.tell(handle, f"/write?file={data}/after&text=kept")
        assert (spec.durable["/data"] / "after").read_text() == "kept"

    # Freeze

    async def test_frozen_sandbox_stands_still_and_goes_on_where_it_was(self, bench: Bench) -> None:
        handle = await bench.started()
        await bench.tell(handle, "/spin")
        await bench.driver.freeze(handle)
        await bench.driver.freeze(handle)
        before = await bench.driver.inspect(handle)
        with pytest.raises(TimeoutError):
            await bench.get(handle, within_s=0.2)
        after = await bench.driver.inspect(handle)
        assert before.frozen and after.frozen and after.cpu_s - before.cpu_s < STILL_S
        await bench.driver.thaw(handle)
        await bench.driver.thaw(handle)
        assert (await bench.get(handle)).body == "hello"
        assert not (await bench.driver.inspect(handle)).frozen

    async def test_children_are_frozen_too(self, bench: Bench) -> None:
        handle = await bench.started(
            command=("sh", "-c", f"python3 {PROGRAM} & python3 -c 'while True: pass' & wait")
        )
        await bench.driver.freeze(handle)
        before = (await bench.driver.inspect(handle)).cpu_s
        with pytest.raises(TimeoutError):
            await bench.get(handle, within_s=0.2)
        assert (await bench.driver.inspect(handle)).cpu_s - before < STILL_S

    async def test_a_program_that_takes_memory_survives_being_frozen_at_any_moment(
        self, bench: Bench
    ) -> None:
        handle = await bench.started()
        await bench.tell(handle, "/churn")
        for _ in range(self.freezes):
            await bench.driver.freeze(handle)
            await bench.driver.thaw(handle)
            assert (await bench.get(handle)).body == "hello"

    async def test_what_one_worker_froze_another_thaws(self, bench: Bench) -> None:
        handle = await bench.started()
        await bench.driver.freeze(handle)
        other = bench.make(bench.root / "driver")
        assert (await other.inspect(handle)).frozen
        await other.thaw(handle)
        assert (await bench.get(handle)).body == "hello"
        await other.stop(handle, 0)

    # End

    async def test_stop_asks_before_it_kills(self, bench: Bench) -> None:
        handle = await bench.start(
            command=(
                "sh",
                "-c",
                "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.01; done",
            )
        )

        async def is_ready() -> bool:
            return b"ready" in bench.log_of(handle)

        await until(is_ready)
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(bench.driver.wait(handle), name="wait")
            await bench.driver.stop(handle, 5.0)
        assert ending.result() == Exit(code=3)
        assert b"bye" in bench.log_of(handle)

    async def test_a36_actor_that_ignores_sigterm_is_gone_within_the_grace(
        self, bench: Bench
    ) -> None:
        handle = await bench.started("stubborn")
        began = time.monotonic()
        await bench.driver.stop(handle, 0.3)
        assert 0.3 <= time.monotonic() - began < 3.0 * SCALE
        assert bench.leftovers() == set()

    async def test_frozen_sandbox_can_be_stopped(self, bench: Bench) -> None:
        for grace_s in (0.0, 5.0):
            handle = await bench.started()
            await bench.driver.freeze(handle)
            await bench.driver.stop(handle, grace_s)
            assert not (await bench.driver.inspect(handle)).alive
        assert bench.leftovers() == set()

    async def test_stop_done_twice_is_done_once(self, bench: Bench) -> None:
        handle = await bench.started()
        async with asyncio.TaskGroup() as group:
            for number in range(2):
                group.create_task(bench.driver.stop(handle, 1.0), name=f"stop {number}")
        await bench.driver.stop(handle, 1.0)

    async def test_daemons_do_not_outlive_their_sandbox(self, bench: Bench) -> None:
        handle = await bench.started()
        await bench.tell(handle, "/daemon")
        await bench.driver.stop(handle, 1.0)
        assert bench.leftovers() == set()

    async def test_end_of_the_program_ends_what_it_left_behind(self, bench: Bench) -> None:
        handle = await bench.started()
        await bench.tell(handle, "/daemon")
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(bench.driver.wait(handle), name="wait")
            await bench.try_get(handle, "/exit?code=0")
        assert ending.result() == Exit(code=0)

        async def is_alone() -> bool:
            return not bench.leftovers()

        await until(is_alone)

    async def test_exit_status_and_signal_are_told(self, bench: Bench) -> None:
        for target, how in (
            ("/exit?code=7", Exit(code=7)),
            (f"/die?signal={int(signal.SIGSEGV)}", Exit(signal=signal.SIGSEGV)),
        ):
            handle = await bench.started()
            await bench.try_get(handle, target)
            assert await bench.driver.wait(handle) == how
            assert await bench.driver.wait(handle) == how
            assert not (await bench.driver.inspect(handle)).alive

    # Output

    async def test_output_is_kept(self, bench: Bench) -> None:
        handle = await bench.started()
        await bench.tell(handle, "/print?text=something")
        await bench.driver.stop(handle, 0)
        assert bench.log_of(handle).endswith(b"something\n")

    async def test_endless_output_costs_bounded_disk(self, bench: Bench) -> None:
        handle = await bench.started(log_limit=100_000)
        await bench.tell(handle, "/flood")

        async def has_rotated() -> bool:
            return (bench.root / "logs" / f"{handle.uid}.log.1").exists()

        await until(has_rotated)
        assert (await bench.get(handle)).body == "hello"
        await bench.driver.stop(handle, 0)
        kept = sum(path.stat().st_size for path in (bench.root / "logs").iterdir())
        assert kept <= 100_000

    # Another worker

    async def test_handle_is_enough_for_another_worker(self, bench: Bench) -> None:
        handle = await bench.started()
        again = Handle.from_json(handle.to_json())
        other = bench.make(bench.root / "driver")
        assert (await other.inspect(again)).alive
        await bench.tell(again, "/print?text=re-attached")
        await other.freeze(again)
        await other.thaw(again)
        async with asyncio.TaskGroup() as group:
            ending = group.create_task(other.wait(again), name="wait")
            await other.stop(again, 5.0)
        assert isinstance(ending.result(), Exit)
        assert bench.leftovers() == set()
        assert b"re-attached" in bench.log_of(handle)

    async def test_sweep_ends_what_is_not_kept(self, bench: Bench) -> None:
        lost, kept = await bench.started(), await bench.started()
        other = bench.make(bench.root / "driver")
        assert await other.sweep({kept.slug}) == [lost.slug]
        assert (await bench.get(kept)).body == "hello"
        with pytest.raises(OSError):
            await bench.get(lost, within_s=2)
        assert await other.sweep({kept.slug}) == []

    # Nothing left

    async def test_cancelled_start_leaves_nothing(self, bench: Bench) -> None:
        for turns in range(0, 40, 3):
            spec = bench.spec()
            async with asyncio.TaskGroup() as group:
                start = group.create_task(bench.driver.start(spec), name="start")
                for _ in range(turns):
                    await asyncio.sleep(0)
                start.cancel()
                await asyncio.wait([start])
            if not start.cancelled():
                await bench.driver.stop(start.result(), 0)
            assert bench.leftovers() == set()
            assert not list((bench.root / "driver").glob("*.json"))

    async def test_many_rounds_leave_nothing_on_the_machine(self, bench: Bench) -> None:
        """200 of them where it was recorded (docs/runtimes.md); ROUSE_TEST_ROUNDS says how many."""
        await self._round(bench, 0)
        before = remains.of(bench.driver, bench.root)
        for number in range(1, 1 + int(os.environ.get("ROUSE_TEST_ROUNDS", self.rounds))):
            await self._round(bench, number)
        assert remains.of(bench.driver, bench.root) - before == set()
        # It would have been seen: what one that runs has, by kind.
        await bench.start(command=("sleep", "60"))

        async def is_seen() -> bool:
            # Not at once: what is just about to become its program shows none of its names.
            new = remains.of(bench.driver, bench.root) - before
            return {line.partition(" ")[0] for line in new} >= self.has_while_it_runs

        await until(is_seen)

    async def _round(self, bench: Bench, number: int) -> None:
        """A life: started, frozen, thawed, where it can be written down and gone on with; its last
        sleep it does not wake from."""
        command = ("sleep", "60")
        handle = await bench.driver.start(bench.spec(command=command))
        await bench.driver.freeze(handle)
        if Scope.FULL in bench.driver.capabilities().scopes:
            image = bench.root / "image"
            await bench.driver.checkpoint(handle, image)
            await bench.driver.stop(handle, 0)
            handle = await bench.driver.restore(bench.spec(command=command), image)
            shutil.rmtree(image)
        else:
            await bench.driver.thaw(handle)
        if number % 2:
            await bench.driver.freeze(handle)
        await bench.driver.stop(handle, 0)
        assert traces(bench, handle) == []

    # Limits

    async def test_memory_bomb_does_not_get_its_memory(self, bench: Bench) -> None:
        handle = await bench.started(resources=Resources(memory_bytes=128 << 20))
        answer = await bench.try_get(handle, f"/eat?bytes={1 << 30}")
        assert answer is None or answer.status == 500
