"""Everyday programs under `bubblewrap`'s filter of system calls: it must let them live.

Whole servers as actors are in tests of their own; these are the runtimes' first seconds, in which
they ask the kernel for nearly all that they ever ask for.
"""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runtimes.bubblewrap import Bubblewrap
from runtimes.ports import Ports
from tests.contract.driver import Bench, until

PYTHON = """
import asyncio, concurrent.futures, ctypes, mmap, multiprocessing, os, select, shutil, signal
import socket, sqlite3, ssl, subprocess, tempfile, threading, time, uuid

def double(number):
    return 2 * number

async def served():
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await reader.read() == b""
        writer.close()
    child = await asyncio.create_subprocess_exec("true")
    return await child.wait()

if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(double, [1, 2]) == [2, 4]
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        assert list(pool.map(double, [3])) == [6]
    assert asyncio.run(served()) == 0
    table = sqlite3.connect("/data/table")
    assert table.execute("pragma journal_mode=wal").fetchone() == ("wal",)
    table.execute("create table t (a)")
    table.commit()
    os.mkfifo("/data/fifo")
    shutil.copytree("/etc/ssl", "/data/ssl", symlinks=True, ignore_dangling_symlinks=True)
    assert socket.if_nameindex() and socket.getaddrinfo("127.0.0.1", 80)
    mmap.mmap(-1, 1 << 20).close()
    signal.setitimer(signal.ITIMER_REAL, 1000)
    ssl.create_default_context()
    os.sched_getaffinity(0), os.getrandom(8), os.memfd_create("x"), os.pidfd_open(os.getpid())
    print("fine")
"""
GIT = """
set -e
cd /data && git init -q one && cd one && echo text >file && git add file
git -c user.name=a -c user.email=a@b commit -qm first
git clone -q . ../two && git -C ../two gc --quiet && git -C ../two fsck
python3 -m venv --without-pip /data/venv && /data/venv/bin/python -c 'print("fine")'
"""
NODE = """
const {Worker} = require('worker_threads'), fs = require('fs'), http = require('http');
require('child_process').execFileSync('true');
require('os').networkInterfaces();
fs.watch('/tmp').close();
const server = http.createServer((_, answer) => answer.end('x')).listen(0, '127.0.0.1', () =>
  http.get(server.address(), async () => {
    await fs.promises.writeFile('/data/x', 'y');
    new Worker('1', {eval: true}).on('exit', () => { console.log('fine'); process.exit(0); });
  }));
"""
JAVA = """
import java.net.*;
public class Main {
  public static void main(String[] words) throws Exception {
    new ProcessBuilder("true").start().waitFor();
    NetworkInterface.getNetworkInterfaces();
    java.net.http.HttpClient.newHttpClient();
    try (var server = new ServerSocket(0, 1, InetAddress.getLoopbackAddress());
         var client = new Socket(server.getInetAddress(), server.getLocalPort())) {
      System.out.println("fine");
    }
  }
}
"""


class TestEveryday:
    @pytest.fixture
    def book(self) -> Iterator[Ports]:
        made = Ports()
        yield made
        made.close()

    @pytest.fixture
    async def bench(self, tmp_path: Path, book: Ports) -> AsyncIterator[Bench]:
        made = Bench(
            root=tmp_path,
            make=lambda root: Bubblewrap(root, tree=None, ports=book, privileged=False),
        )
        async with made.working():
            yield made

    async def runs(self, bench: Bench, text: str, name: str, *command: str) -> None:
        """`text` as the file `name` in a working directory ends well and said so."""
        where = bench.root / "program"
        where.mkdir()
        (where / name).write_text(text)
        handle = await bench.start(command=(*command, name), working_dir=where)
        how = await bench.driver.wait(handle)

        async def is_said() -> bool:
            return how.code != 0 or bench.log_of(handle).endswith(b"fine\n")

        await until(is_said)
        assert how.code == 0, bench.log_of(handle)

    async def test_python_with_its_processes_servers_and_files(self, bench: Bench) -> None:
        await self.runs(bench, PYTHON, "main.py", "python3")

    @pytest.mark.skipif(shutil.which("git") is None, reason="no git here")
    async def test_git_and_a_virtual_environment(self, bench: Bench) -> None:
        await self.runs(bench, GIT, "main.sh", "sh")

    @pytest.mark.skipif(not os.path.exists("/usr/bin/node"), reason="no node of the system here")
    async def test_node_with_its_threads_and_watchers(self, bench: Bench) -> None:
        await self.runs(bench, NODE, "main.js", "node")

    @pytest.mark.skipif(not os.path.exists("/usr/bin/javac"), reason="no JDK of the system here")
    async def test_java(self, bench: Bench) -> None:
        await self.runs(bench, JAVA, "Main.java", "java", "-Xshare:auto")
