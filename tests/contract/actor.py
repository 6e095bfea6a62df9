"""The program that the driver's contract runs: stdlib HTTP, one answer for each question.

Run as a file, so it stands in no package; `/env`, `/fds`, `/spin` and the like tell what the
program sees and make it do what an actor may do.
"""

import json
import mmap
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit


def answer(path: str, ask: dict[str, str]) -> Any:
    match path:
        case "/env":
            return dict(os.environ)
        case "/fds":
            return sorted(int(name) for name in os.listdir("/proc/self/fd"))
        case "/where":
            return {"cwd": os.getcwd(), "uid": os.getuid(), "session": os.getsid(0)}
        case "/pids":
            return sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
        case "/read":
            return Path(ask["file"]).read_text()
        case "/list":
            return sorted(os.listdir(ask["dir"]))
        case "/write":
            Path(ask["file"]).write_text(ask["text"])
            return "written"
        case "/print":
            say(ask["text"])
            return "printed"
        case "/flood":
            threading.Thread(target=flood, daemon=True).start()
            return "flooding"
        case "/spin":
            threading.Thread(target=spin, daemon=True).start()
            return "spinning"
        case "/churn":
            threading.Thread(target=churn, daemon=True).start()
            return "churning"
        case "/eat":
            return len(bytearray(int(ask["bytes"])))
        case "/fork":
            return fork(int(ask["children"]))
        case "/daemon":
            return daemon()
        case "/connect":
            with socket.create_connection(
                (ask.get("host", "127.0.0.1"), int(ask["port"])), timeout=1
            ):
                return "connected"
        case "/unshare":
            return subprocess.run(["unshare", "-U", "true"], capture_output=True).returncode
        case "/exit":
            os._exit(int(ask["code"]))
        case "/die":
            os.kill(os.getpid(), int(ask["signal"]))
            return "still here"
        case _:
            return "hello"


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def flood() -> None:
    while True:
        sys.stdout.write("x" * 1023 + "\n")


def spin() -> None:
    while True:
        pass


def churn() -> None:
    """Take memory page by page and give it back, for ever."""
    while True:
        with mmap.mmap(-1, 1 << 20) as pages:
            for at in range(0, len(pages), mmap.PAGESIZE):
                pages[at] = 1


def fork(children: int) -> int:
    begun = 0
    for _ in range(children):
        try:
            child = os.fork()
        except OSError:
            break
        if child == 0:
            time.sleep(600)
            os._exit(0)
        begun += 1
    return begun


def daemon() -> int:
    """A process that leaves its parent and its session, as daemons do; answers its pid."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if (child := os.fork()) != 0:
            os.write(writing, str(child).encode())
            os._exit(0)
        time.sleep(600)
        os._exit(0)
    os.wait()
    return int(os.read(reading, 20))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        url = urlsplit(self.path)
        ask = {name: values[0] for name, values in parse_qs(url.query).items()}
        try:
            status, body = 200, answer(url.path, ask)
        except (OSError, MemoryError) as error:
            status, body = 500, f"{type(error).__name__}: {error}"
        self.reply(status, body)

    def reply(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


if __name__ == "__main__":
    if "stubborn" in sys.argv:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    say("started")
    # In a kernel of its own nothing from outside reaches its loopback.
    host = "0.0.0.0" if os.path.exists("/run/rouse") else "127.0.0.1"
    ThreadingHTTPServer((host, int(os.environ["PORT"])), Handler).serve_forever()
