"""An actor that runs what it is told: POST {"argv": [...]} gives {"code", "out", "err"}."""

import json
import os
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Runner(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(b"ok")

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        done = subprocess.run(
            asked["argv"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            cwd=os.environ["ROUSE_DATA"],
            env={**os.environ, **asked.get("env", {})},
        )
        told = {"code": done.returncode, "out": done.stdout, "err": done.stderr[-4000:]}
        told["caller"] = self.headers.get("X-Rouse-Caller", "")
        self._answer(json.dumps(told).encode())

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


ThreadingHTTPServer(
    (os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Runner
).serve_forever()
