"""The program that is woken with its memory: it counts in RAM, draws numbers, tells the time, and
takes up what changed about it when it is told that it was woken."""

import json
import os
import random
import signal
import ssl
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

held = os.urandom(int(os.environ.get("HELD_MIB", "0")) << 20)
counted = 0
known = {"woken": 0}


def woken(*_: object) -> None:
    """The hook of docs/runtimes.md: nothing in here may depend on how it was before."""
    random.seed()
    ssl.RAND_add(os.urandom(32), 32)
    known["woken"] += 1
    with open("/run/rouse/actor.json") as file:
        known.update(json.load(file))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        global counted
        counted += 1
        if self.path == "/slow":
            return self._slow()
        body = json.dumps(
            {
                "counted": counted,
                "time": time.time(),
                "monotonic": time.monotonic(),
                "drawn": random.random(),
                "uuid": str(uuid.uuid4()),
                "tls": ssl.RAND_bytes(8).hex(),
                "actor": known.get("actor"),
                "named": os.environ.get("ROUSE_ACTOR"),
                "epoch": known.get("epoch"),
                "woken": known["woken"],
                "threads": threading.active_count(),
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _slow(self) -> None:
        """Half of an answer, and the other half a while later."""
        self.send_response(200)
        self.send_header("Content-Length", "8")
        self.end_headers()
        self.wfile.write(b"half")
        self.wfile.flush()
        time.sleep(1.5)
        self.wfile.write(b"rest")

    def log_message(self, format: str, *args: Any) -> None:
        pass


if __name__ == "__main__":
    signal.signal(signal.SIGURG, woken)
    woken()
    ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
