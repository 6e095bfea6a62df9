"""The actor that is woken: a threading HTTP server with some of its memory in use, as an agent has.
Run as a file; imports the standard library alone."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Random, so that nothing of it is compressed away or found twice.
held = os.urandom(int(os.environ.get("HELD_MIB", "0")) << 20)
counted = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        global counted
        counted += self.path != "/healthz"
        body = str(counted).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


if __name__ == "__main__":
    # In a network of its own its loopback may be reached by nobody; elsewhere it is enough.
    host = "0.0.0.0" if os.path.exists("/run/rouse") else "127.0.0.1"
    ThreadingHTTPServer((host, int(os.environ["PORT"])), Handler).serve_forever()
