"""The driver's contract, kept by `gvisor`, and what only a kernel of its own can promise: memory
that goes on, and a network that leads to the worker alone."""

import asyncio
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from runtimes import netpair
from runtimes.base import Driver, Handle, Resources, RuntimeFailure
from runtimes.cgroups import find_tree
from runtimes.gvisor import Gvisor
from tests.contract.driver import SOON_S, Bench, DriverContract, until

WAKING = ("python3", str(Path(__file__).with_name("waking.py")))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a network for each actor")
class TestGvisor(DriverContract):
    rounds = 15
    has_while_it_runs = frozenset(
        {"process", "mount", "namespace", "cgroup", "file", "state", "descriptor"}
    )

    def make(self, root: Path) -> Driver:
        return Gvisor(root, tree=find_tree())

    # What it sees

    async def test_sees_no_process_of_the_host_and_not_its_kernel(self, bench: Bench) -> None:
        handle = await bench.started()
        assert await bench.tell(handle, "/pids") == [1]
        assert os.uname().release not in await bench.tell(handle, "/read?file=/proc/version")

    @pytest.mark.parametrize("place", ["/", "/usr", "/etc", "/dev", "/run/rouse", "/work"])
    async def test_writes_nowhere_outside_its_directories(self, bench: Bench, place: str) -> None:
        handle = await bench.started()
        assert (await bench.get(handle, f"/write?file={place}/mark&text=x")).status == 500

    async def test_fork_bomb_stays_within_its_pids(self, bench: Bench) -> None:
        handle = await bench.started(resources=Resources(pids=20))
        begun = await bench.tell(handle, "/fork?children=100")
        assert 5 < begun < 20

    # Its network

    async def test_reaches_nobody_from_inside(self, bench: Bench) -> None:
        mine, other = await bench.started(), await bench.started()
        with socket.create_server(("0.0.0.0", 0)) as host:
            port = host.getsockname()[1]
            for address in _addresses():
                answer = await bench.get(mine, f"/connect?host={address}&port={port}")
                assert answer.status == 500, address
        for target in ("host=169.254.169.254&port=80", f"host={netpair.WORKER}&port=22"):
            assert (await bench.get(mine, f"/connect?{target}")).status == 500, target
        # Every actor has the same address, and reaches itself by it, not the other.
        await bench.driver.stop(other, 0)
        answer = await bench.get(mine, f"/connect?host={netpair.ACTOR}&port=8080")
        assert answer.status == 200

    async def test_a28_address_of_a_dead_sandbox_reaches_nobody(self, bench: Bench) -> None:
        dead = await bench.started()
        await bench.driver.stop(dead, 0)
        await bench.started()
        with pytest.raises(OSError):
            dead.endpoints["http"].open_socket()

    # Its memory

    async def test_memory_goes_on_where_it_was_in_another_sandbox(self, bench: Bench) -> None:
        handle = await self._counting(bench)
        assert [(await self._ask(bench, handle))["counted"] for _ in range(2)] == [2, 3]
        image = await self._image(bench, handle)
        await bench.driver.stop(handle, 0)
        again = await self._restored(bench, image)
        assert (await self._ask(bench, again))["counted"] == 4

    async def test_frozen_for_an_image_it_can_still_be_thawed(self, bench: Bench) -> None:
        handle = await self._counting(bench)
        await self._image(bench, handle)
        assert (await bench.driver.inspect(handle)).frozen
        await bench.driver.thaw(handle)
        assert (await self._ask(bench, handle))["counted"] == 2
        # And a second image of it is as good as the first.
        shutil.rmtree(bench.root / "image")
        again = await self._restored(bench, await self._image(bench, handle))
        assert (await self._ask(bench, again))["counted"] == 3

    async def test_an_image_given_up_half_written_leaves_it_as_it_was(self, bench: Bench) -> None:
        handle = await self._counting(bench)
        for turn in range(5):
            await bench.driver.freeze(handle)
            into = bench.root / f"given-up-{turn}"
            async with asyncio.TaskGroup() as group:
                writing = group.create_task(bench.driver.checkpoint(handle, into))
                async with asyncio.timeout(SOON_S):
                    while not into.exists():
                        await asyncio.sleep(0.001)
                await asyncio.sleep(turn * 0.01)  # at another step each time
                writing.cancel()
                await bench.driver.thaw(handle)
                assert (await self._ask(bench, handle))["counted"] == 2 + turn
            assert not into.exists() or not writing.cancelled()
        image = await self._image(bench, handle)
        again = await self._restored(bench, image)
        assert (await self._ask(bench, again))["counted"] == 7

    async def test_files_outside_its_durable_directories_are_in_the_image(
        self, bench: Bench
    ) -> None:
        handle = await bench.started()
        await bench.tell(handle, "/write?file=/tmp/mark&text=kept")
        image = await self._image(bench, handle)
        await bench.driver.stop(handle, 0)
        again = await self._restored(bench, image, command=bench.spec().command)
        assert await bench.tell(again, "/read?file=/tmp/mark") == "kept"

    async def test_a_restored_pair_is_not_fooled(self, bench: Bench) -> None:
        handle = await self._counting(bench)
        before = await self._ask(bench, handle)
        image = await self._image(bench, handle)
        await bench.driver.stop(handle, 0)
        pair = [await self._restored(bench, image, epoch=number) for number in (7, 8)]
        earliest = time.time()
        told = [await self._ask(bench, each) for each in pair]
        latest = time.time()
        for name in ("drawn", "uuid", "tls"):
            assert len({before[name], *(each[name] for each in told)}) == 3, name
        assert [each["epoch"] for each in told] == [7, 8]
        assert [each["woken"] for each in told] == [2, 2]
        # Its clock is set by the host's, to some milliseconds.
        assert all(earliest - 0.1 < each["time"] < latest + 0.1 for each in told)
        assert all(each["monotonic"] >= before["monotonic"] for each in told)

    async def test_an_image_of_another_program_is_refused(self, bench: Bench) -> None:
        handle = await self._counting(bench)
        image = await self._image(bench, handle)
        spec = bench.spec(command=("sleep", "60"))
        terms = bench.driver.image_terms
        assert terms(spec) != terms(bench.spec(command=WAKING))
        with pytest.raises(RuntimeFailure):
            await bench.driver.restore(spec, image)
        assert [p.stem for p in (bench.root / "driver").glob("*.json")] == [handle.slug]

    async def test_a_damaged_image_starts_nothing(self, bench: Bench) -> None:
        handle = await self._counting(bench)
        image = await self._image(bench, handle)
        (image / "checkpoint.img").write_bytes(os.urandom(200_000))
        with pytest.raises(RuntimeFailure):
            await bench.driver.restore(bench.spec(command=WAKING), image)

    async def test_cancelled_restore_leaves_nothing(self, bench: Bench) -> None:
        handle = await self._counting(bench)
        image = await self._image(bench, handle)
        await bench.driver.stop(handle, 0)
        for turns in (1, 5, 20, 60):
            spec = bench.spec(command=WAKING)
            async with asyncio.TaskGroup() as group:
                restore = group.create_task(bench.driver.restore(spec, image), name="restore")
                for _ in range(turns):
                    await asyncio.sleep(0)
                restore.cancel()
                await asyncio.wait([restore])
            if not restore.cancelled():
                await bench.driver.stop(restore.result(), 0)
            assert bench.leftovers() == set()
        assert isinstance(bench.driver, Gvisor) and bench.driver.seats.names() == []

    # Real programs

    async def test_a_node_server_wakes_with_its_heap(self, bench: Bench) -> None:
        program = (
            "let n = 0; require('http').createServer((q, a) => a.end(JSON.stringify(++n)))"
            ".listen(process.env.PORT)"
        )
        if shutil.which("node") is None:
            if os.environ.get("CI") == "true":
                pytest.fail("CI must have node")
            pytest.skip("no node here")
        await self._wakes(bench, ("node", "-e", program))

    async def test_a_shell_and_its_children_wake_together(self, bench: Bench) -> None:
        # A job in the shell, which feeds what another process serves.
        job = "n=0; while :; do n=$((n+1)); echo $n > /tmp/n; sleep 0.05; done"
        serve = (
            "import http.server, os, json\n"
            "class H(http.server.BaseHTTPRequestHandler):\n"
            "    def do_GET(self):\n"
            "        body = json.dumps(int(open('/tmp/n').read() or 0)).encode()\n"
            "        self.send_response(200); self.end_headers(); self.wfile.write(body)\n"
            "    def log_message(self, *a): pass\n"
            "http.server.HTTPServer(('', int(os.environ['PORT'])), H).serve_forever()\n"
        )
        await self._wakes(bench, ("sh", "-c", f'{{ {job}; }} & exec python3 -c "$0"', serve))

    async def test_a_repl_wakes_with_its_variables(self, bench: Bench) -> None:
        # A Python console over HTTP: what was defined by one request is there after the wake.
        serve = (
            "import code, contextlib, http.server, io, json, os, urllib.parse as u\n"
            "console = code.InteractiveConsole()\n"
            "class H(http.server.BaseHTTPRequestHandler):\n"
            "    def do_GET(self):\n"
            "        out = io.StringIO()\n"
            "        with contextlib.redirect_stdout(out):\n"
            "            console.push(u.unquote(self.path[1:]))\n"
            "        body = json.dumps(out.getvalue().strip()).encode()\n"
            "        self.send_response(200); self.end_headers(); self.wfile.write(body)\n"
            "    def log_message(self, *a): pass\n"
            "http.server.HTTPServer(('', int(os.environ['PORT'])), H).serve_forever()\n"
        )
        command = ("python3", "-c", serve)
        handle = await bench.started(command=command)
        await bench.tell(handle, "/answer%20=%2042")
        again = await self._restored(bench, await self._image(bench, handle), command=command)
        assert await bench.tell(again, "/print(answer)") == "42"

    # How it is done

    async def _wakes(self, bench: Bench, command: tuple[str, ...]) -> None:
        handle = await bench.started(command=command)
        before = int(await until(lambda: bench.tell(handle, "/")))
        image = await self._image(bench, handle)
        await bench.driver.stop(handle, 0)
        again = await self._restored(bench, image, command=command)
        assert int(await bench.tell(again, "/")) >= before
        later = int(await bench.tell(again, "/"))

        async def has_gone_on() -> bool:
            return int(await bench.tell(again, "/")) > later

        await until(has_gone_on)

    async def _counting(self, bench: Bench) -> Handle:
        """Has counted once."""
        return await bench.started(command=WAKING)

    async def _ask(self, bench: Bench, handle: Handle) -> dict[str, Any]:
        told = await bench.tell(handle, "/")
        assert isinstance(told, dict)
        return told

    async def _image(self, bench: Bench, handle: Handle) -> Path:
        await bench.driver.freeze(handle)
        await bench.driver.checkpoint(handle, bench.root / "image")
        return bench.root / "image"

    async def _restored(self, bench: Bench, image: Path, **changes: Any) -> Handle:
        spec = bench.spec(**{"command": WAKING, **changes})
        async with asyncio.timeout(SOON_S):
            handle = await bench.driver.restore(spec, image)
        bench.begun.append(handle)
        return handle


def _addresses() -> list[str]:
    """Of this machine, on every interface."""
    said = subprocess.run(
        ["ip", "-4", "-o", "addr"], capture_output=True, text=True, check=True
    ).stdout
    found = [line.split()[3].partition("/")[0] for line in said.splitlines()]
    return [address for address in found if address != "127.0.0.1"] + ["127.0.0.1"]
