"""The counter example by itself: what the tour, the load test and the failure tests rely on.

As an actor, woken and suspended, it is tested with the product.
"""

import hashlib
import http.client
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

COUNTER = Path(__file__).parents[2] / "examples" / "counter"
BIG = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    process: subprocess.Popen[str]
    port: int

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = self.connect()
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def count(self) -> dict[str, object]:
        status, body = self.ask("GET", "/")
        assert status == 200
        told: dict[str, object] = json.loads(body)
        return told

    def resident_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


Start = Callable[[], Program]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start the program over one durable directory, as often as the test likes."""
    begun: list[subprocess.Popen[str]] = []

    def run() -> Program:
        process = subprocess.Popen(
            [sys.executable, "-S", "-m", "counter"],
            cwd=COUNTER,
            env={"PORT": "0", "ROUSE_DATA": str(tmp_path), "ROUSE_ACTOR": "demo/c1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        begun.append(process)
        assert process.stdout is not None
        told = re.fullmatch(r"counter listens on .*:(\d+)\n", process.stdout.readline())
        assert told is not None
        return Program(process=process, port=int(told[1]))

    yield run
    for process in begun:
        process.kill()
        process.communicate()


@pytest.fixture
def program(start: Start) -> Program:
    return start()


def test_both_counters_rise_and_only_the_one_on_disk_survives_a_kill(start: Start) -> None:
    first = start()
    assert [(c["ram"], c["file"]) for c in (first.count(), first.count())] == [(1, 1), (2, 2)]
    first.process.kill()
    first.process.wait()
    told = start().count()
    assert (told["ram"], told["file"], told["actor"]) == (1, 3, "demo/c1")


def test_looking_raises_nothing(program: Program) -> None:
    program.count()
    for method, path in (("GET", "/peek"), ("HEAD", "/"), ("GET", "/healthz")):
        assert program.ask(method, path)[0] == 200
    assert json.loads(program.ask("GET", "/peek")[1])["ram"] == 1


def test_requests_share_a_kept_connection(program: Program) -> None:
    connection = program.connect()
    connection.request("GET", "/peek")
    connection.getresponse().read()
    kept = connection.sock
    # A body that the route does not want must not become the next request.
    connection.request("GET", "/peek", b"GET /exit HTTP/1.1\r\n\r\n")
    connection.getresponse().read()
    connection.request("POST", "/echo", b"third")
    assert connection.getresponse().read() == b"third" and connection.sock is kept
    connection.close()


def test_pipelined_requests_are_answered_in_order(program: Program) -> None:
    with socket.create_connection(("127.0.0.1", program.port), timeout=30) as sock:
        sock.sendall(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\none"
            b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        with sock.makefile("rb") as answers:
            everything = answers.read()
    assert everything.index(b"\r\n\r\none") < everything.index(b"\r\n\r\nok\n")


def _pieces(total: int) -> Iterator[bytes]:
    block = bytes(range(256)) * 256
    for _ in range(total // len(block)):
        yield block
    yield block[: total % len(block)]


@pytest.mark.parametrize("framing", ["content-length", "chunked"])
def test_a1_fifty_megabytes_come_back_byte_for_byte_in_bounded_memory(
    program: Program, framing: str
) -> None:
    sent = hashlib.sha256()
    for piece in _pieces(BIG):
        sent.update(piece)
    before = program.resident_bytes()
    connection = program.connect()
    fields = {"Content-Length": str(BIG)} if framing == "content-length" else {}
    connection.request("POST", "/echo", _pieces(BIG), fields, encode_chunked=True)
    answer = connection.getresponse()
    back, length = hashlib.sha256(), 0
    while piece := answer.read(1 << 16):
        back.update(piece)
        length += len(piece)
    assert answer.headers["X-Body-SHA256"] == sent.hexdigest() == back.hexdigest()
    assert answer.headers["X-Body-Length"] == str(BIG) == str(length)
    assert program.resident_bytes() - before < 10_000_000
    connection.close()


def test_a_duplex_echo_answers_before_the_request_has_ended(program: Program) -> None:
    with socket.create_connection(("127.0.0.1", program.port), timeout=30) as sock:
        sock.sendall(
            b"POST /echo?mode=duplex HTTP/1.1\r\nHost: x\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nfirst\r\n"
        )
        got = b""
        while not got.endswith(b"5\r\nfirst\r\n"):
            piece = sock.recv(4096)
            assert piece, got
            got += piece
        sock.sendall(b"0\r\n\r\n")
        with sock.makefile("rb") as rest:
            end = rest.read()
    assert end.startswith(b"0\r\nX-Body-Length: 5\r\nX-Body-SHA256: ")


def test_a_client_that_asks_first_is_told_to_go_on(program: Program) -> None:
    with socket.create_connection(("127.0.0.1", program.port), timeout=30) as sock:
        sock.sendall(
            b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
            b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert sock.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"hi")
        with sock.makefile("rb") as answer:
            assert answer.read().endswith(b"\r\n\r\nhi")


def test_events_go_on_after_the_last_one_seen(program: Program) -> None:
    connection = program.connect()
    connection.request("GET", "/events?n=2&every=0", headers={"Last-Event-ID": "7"})
    answer = connection.getresponse()
    assert answer.headers["Content-Type"] == "text/event-stream"
    told = answer.read().decode().split("\n\n")
    assert [event.split("\n")[0] for event in told if event] == ["id: 8", "id: 9"]
    connection.close()


def test_many_slow_callers_are_served_at_once(program: Program) -> None:
    connections = [program.connect() for _ in range(200)]
    for connection in connections:
        connection.request("GET", "/slow?s=0.2")
    assert {c.getresponse().status for c in connections} == {200}
    assert len(list(Path(f"/proc/{program.process.pid}/task").iterdir())) == 1
    for connection in connections:
        connection.close()


def test_a54_files_are_there_after_a_kill_and_their_names_stay_inside(start: Start) -> None:
    first = start()
    assert first.ask("PUT", "/files/note.txt", b"kept")[0] == 201
    for name in ("..", ".hidden", "a%2Fb", "a/b", "", "x" * 101):
        assert first.ask("PUT", f"/files/{name}", b"no")[0] == 400, name
    first.process.kill()
    first.process.wait()
    second = start()
    assert second.ask("GET", "/files/note.txt") == (200, b"kept")
    assert json.loads(second.ask("GET", "/files")[1]) == ["note.txt"]
    assert second.ask("GET", "/files/other")[0] == 404


def test_an_interrupted_upload_leaves_the_old_file(program: Program, tmp_path: Path) -> None:
    program.ask("PUT", "/files/note.txt", b"old")
    with socket.create_connection(("127.0.0.1", program.port), timeout=30) as sock:
        sock.sendall(b"PUT /files/note.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nnew")
        sock.shutdown(socket.SHUT_WR)
        assert sock.recv(4096) == b""
    assert program.ask("GET", "/files/note.txt") == (200, b"old")
    assert [path.name for path in (tmp_path / "files").iterdir()] == ["note.txt"]


def test_records_are_numbered_and_a_torn_one_is_forgotten(start: Start, tmp_path: Path) -> None:
    first = start()
    numbers = [json.loads(first.ask("POST", "/records", b"r%d" % n)[1]) for n in (1, 2)]
    assert numbers == [{"number": 1}, {"number": 2}]
    assert first.ask("POST", "/records", b"two\nlines")[0] == 400
    first.process.kill()
    first.process.wait()
    with (tmp_path / "records").open("ab") as file:
        file.write(b"torn")
    second = start()
    assert json.loads(second.ask("POST", "/records", b"r3")[1]) == {"number": 3}
    assert second.ask("GET", "/records") == (200, b"r1\nr2\nr3\n")


def test_sigterm_lets_the_open_request_end_and_exits_0(program: Program) -> None:
    busy, idle = program.connect(), program.connect()
    idle.request("GET", "/healthz")
    idle.getresponse().read()
    busy.request("GET", "/slow?s=0.5")
    # Answered after the slow one was read: one thread, in order of arrival.
    program.ask("GET", "/healthz")
    program.process.send_signal(signal.SIGTERM)
    assert busy.getresponse().read().startswith(b'{"slept"')
    assert program.process.wait(timeout=30) == 0
    busy.close()
    idle.close()


def test_it_exits_as_it_is_told(program: Program) -> None:
    assert program.ask("POST", "/exit?code=7") == (200, b"bye\n")
    assert program.process.wait(timeout=30) == 7


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"400"),
        (b"POST /echo HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
        (b"POST /echo HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", b"501"),
        (b"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"GET /nowhere HTTP/1.1\r\nConnection: close\r\n\r\n", b"404"),
        (b"DELETE / HTTP/1.1\r\nConnection: close\r\n\r\n", b"405"),
        (b"GET /slow?s=nan HTTP/1.1\r\nConnection: close\r\n\r\n", b"400"),
    ],
)
def test_nonsense_is_refused_and_the_next_caller_served(
    program: Program, request_bytes: bytes, status: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", program.port), timeout=30) as sock:
        sock.sendall(request_bytes)
        assert sock.recv(4096).startswith(b"HTTP/1.1 " + status)
    assert program.ask("GET", "/healthz") == (200, b"ok\n")


def test_a34_a_head_of_64_kib_passes(program: Program) -> None:
    connection = program.connect()
    connection.putrequest("GET", "/healthz")
    connection.putheader("Cookie", "c" * 65536)
    connection.endheaders()
    assert connection.getresponse().status == 200
    connection.close()


def test_a_full_disk_is_told_and_nothing_is_torn(start: Start, tmp_path: Path) -> None:
    program = start()
    program.ask("POST", "/records", b"before")
    limit = (tmp_path / "records").stat().st_size + 2
    resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    assert program.ask("POST", "/records", b"too long for what is left")[0] == 507
    assert program.ask("GET", "/records") == (200, b"before\n")
    assert program.ask("GET", "/peek")[0] == 200
