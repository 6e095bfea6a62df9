"""The chaos tests' actor: keeps numbered records, and shows its token to the referee before each.

Runs by itself (`python3 -S actor.py`), without our packages.
"""

import http.server
import os
import secrets
import socket
import threading

COPY = secrets.token_hex(8)
RECORDS = os.path.join(os.environ["ROUSE_DATA"].split(os.pathsep)[0], "records")
HOST, _, PORT = os.environ["REFEREE"].rpartition(":")
LOCK = threading.Lock()


def shown() -> bool:
    """May this copy serve? A connection each time: a frozen copy holds none."""
    with socket.create_connection((HOST, int(PORT)), 10) as referee:
        referee.sendall(f"{os.environ['ROUSE_ACTOR']} {COPY}\n".encode())
        return referee.recv(16).startswith(b"yes")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b""
        if self.path == "/records" and os.path.exists(RECORDS):
            with open(RECORDS, "rb") as file:
                body = file.read()
        self.answer(200, body)

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"]))
        with LOCK:
            if not shown():
                self.answer(500, b"another copy serves")
                return
            with open(RECORDS, "ab") as file:
                file.write(text + b"\n")
        self.answer(201, b"")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64


Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
