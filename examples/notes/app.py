"""Notes in SQLite: POST /notes adds one and answers when it is committed, GET /notes tells all.

The database is in WAL mode. A suspend finds its files as a crash would, with everything that was
committed in them; the next start goes on from there.
"""

import json
import os
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

DATABASE = Path(os.environ.get("ROUSE_DATA", ".")) / "notes.db"
_own = threading.local()


def database() -> sqlite3.Connection:
    """This thread's connection."""
    if not hasattr(_own, "connection"):
        _own.connection = sqlite3.connect(DATABASE, timeout=30, isolation_level=None)
        _own.connection.execute("PRAGMA synchronous = NORMAL")
    return _own.connection


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        added = database().execute("INSERT INTO notes (text) VALUES (?)", (text,))
        self.answer(201, {"id": added.lastrowid})

    def do_GET(self) -> None:
        if self.path == "/healthz":
            self.answer(200, "ok")
        elif self.path == "/check":
            self.answer(200, database().execute("PRAGMA integrity_check").fetchall())
        elif self.path == "/journal":
            self.answer(200, database().execute("PRAGMA journal_mode").fetchone()[0])
        else:
            rows = database().execute("SELECT id, text FROM notes ORDER BY id").fetchall()
            self.answer(200, [{"id": number, "text": text} for number, text in rows])

    def answer(self, status: int, told: object) -> None:
        body = json.dumps(told).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    database().execute("PRAGMA journal_mode = WAL")
    database().execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, text TEXT)")
    where = (os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8000")))
    ThreadingHTTPServer(where, Handler).serve_forever()
