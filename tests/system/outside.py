"""The world outside for the tests of egress: one TLS server that is an LLM, a git host, a package
index, an npm registry and a WebSocket echo. It serves only who shows the secret."""

import base64
import contextlib
import hashlib
import io
import json
import shutil
import ssl
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import trustme

SECRET = "sk-live-hunter2-0123456789"
PLACEHOLDER = "rouse-placeholder-token"
WORDS = ["one", "two", "three"]


@dataclass
class Outside:
    port: int
    ca: Path
    seen: list[tuple[str, str]] = field(default_factory=list)
    """(host, Authorization) of each request."""


def _handler(outside: Outside, files: dict[str, bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not self._is_known():
                return
            if self.headers.get("Upgrade", "").lower() == "websocket":
                self._echo()
                return
            body = files.get(f"{self.headers['Host']}{self.path.partition('?')[0]}")
            if body is None:
                self._answer(404, b"", "text/plain")
            else:
                kind = "text/html" if body.startswith(b"<") else "application/octet-stream"
                self._answer(200, body, kind)

        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            if self._is_known():
                self._complete(json.loads(asked))

        def _is_known(self) -> bool:
            given = self.headers.get("Authorization", "")
            outside.seen.append((self.headers["Host"], given))
            basic = base64.b64encode(f"x-token:{SECRET}".encode()).decode()
            if given in (f"Bearer {SECRET}", f"Basic {basic}"):
                return True
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="outside"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False

        def _complete(self, asked: dict[str, object]) -> None:
            usage = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}
            base = {"id": "c1", "created": 1, "model": "fake-1"}
            if not asked.get("stream"):
                message = {"role": "assistant", "content": " ".join(WORDS)}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                whole = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
                self._answer(200, json.dumps(whole).encode(), "application/json")
                return
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for word in WORDS:
                choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
                self._event({**base, "object": "chat.completion.chunk", "choices": [choice]})
            self._event({**base, "object": "chat.completion.chunk", "choices": [], "usage": usage})
            self._chunk(b"data: [DONE]\n\n")
            self.wfile.write(b"0\r\n\r\n")

        def _event(self, event: dict[str, object]) -> None:
            self._chunk(b"data: " + json.dumps(event).encode() + b"\n\n")

        def _chunk(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()

        def _echo(self) -> None:
            """One frame there, the same back, then a close."""
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
            self.send_response(101)
            for name, value in (("Upgrade", "websocket"), ("Connection", "Upgrade"),
                                ("Sec-WebSocket-Accept", accept)):  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            head = self.rfile.read(2)
            mask = self.rfile.read(4)
            data = self.rfile.read(head[1] & 0x7F)
            plain = bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
            self.wfile.write(bytes((0x81, len(plain))) + plain + b"\x88\x02\x03\xe8")
            self.close_connection = True

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def outside(home: Path) -> Iterator[Outside]:
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("any.test", "*.test").configure_cert(context)
    ca.cert_pem.write_to_path(str(home / "outside-ca.pem"))
    made = Outside(0, home / "outside-ca.pem")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(made, _files(home)))
    server.daemon_threads = True
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _files(home: Path) -> dict[str, bytes]:
    return {"llm.test/hello": b"hello", **_repository(home), **_wheel(), **_npm()}


def _repository(home: Path) -> dict[str, bytes]:
    """A bare repository as files: git's own dumb protocol."""
    if shutil.which("git") is None:
        return {}
    work, bare = home / "work", home / "repo.git"
    quiet = {"check": True, "capture_output": True}
    run = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "init.defaultBranch=main"]
    subprocess.run([*run, "init", str(work)], **quiet)  # type: ignore[call-overload]
    (work / "README").write_text("cloned\n")
    subprocess.run([*run, "-C", str(work), "add", "."], **quiet)  # type: ignore[call-overload]
    subprocess.run([*run, "-C", str(work), "commit", "-m", "one"], **quiet)  # type: ignore[call-overload]
    subprocess.run([*run, "clone", "--bare", str(work), str(bare)], **quiet)  # type: ignore[call-overload]
    subprocess.run([*run, "-C", str(bare), "update-server-info"], **quiet)  # type: ignore[call-overload]
    return {
        f"git.test/repo.git/{path.relative_to(bare)}": path.read_bytes()
        for path in bare.rglob("*")
        if path.is_file()
    }


def _wheel() -> dict[str, bytes]:
    name = "outsider-1.0-py3-none-any.whl"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("outsider.py", "WORD = 'installed'\n")
        archive.writestr(
            "outsider-1.0.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: outsider\nVersion: 1.0\n",
        )
        archive.writestr(
            "outsider-1.0.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("outsider-1.0.dist-info/RECORD", "")
    page = f'<!DOCTYPE html><a href="/files/{name}">{name}</a>'.encode()
    return {"pypi.test/simple/outsider/": page, f"pypi.test/files/{name}": data.getvalue()}


def _npm() -> dict[str, bytes]:
    package = {"name": "outsider", "version": "1.0.0", "main": "index.js"}
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for name, text in (
            ("package/package.json", json.dumps(package)),
            ("package/index.js", "module.exports = 'installed'\n"),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    tarball = data.getvalue()
    dist = {
        "tarball": "https://npm.test/outsider/-/outsider-1.0.0.tgz",
        "shasum": hashlib.sha1(tarball).hexdigest(),
    }
    told = {
        "name": "outsider",
        "dist-tags": {"latest": "1.0.0"},
        "versions": {"1.0.0": {**package, "dist": dist}},
    }
    return {
        "npm.test/outsider": json.dumps(told).encode(),
        "npm.test/outsider/-/outsider-1.0.0.tgz": tarball,
    }


def policy(made: Outside, secret: Path) -> str:
    """Every *.test is the server outside; what is shown to it is the secret."""
    tls = f'backendTLS: {{root: "{made.ca}", hostname: any.test}}'
    backend = f'backends: [{{host: "127.0.0.1:{made.port}", policies: {{{tls}}}}}]'
    return f"""
binds:
- {{port: 3128, tunnelProtocol: connect, listeners: []}}
- port: 443
  mode: internal
  listeners:
  - protocol: HTTPS
    tls: {{mode: dynamicCa}}
    routes:
    - name: outside
      hostnames: ["*.test"]
      policies: {{urlRewrite: {{authority: none}}}}
      {backend}
- port: 8080
  listeners:
  - routes:
    - name: base-url
      matches: [{{path: {{pathPrefix: /llm}}}}]
      policies: {{urlRewrite: {{authority: {{full: llm.test}}, path: {{prefix: /}}}}}}
      {backend}
llm:
  models:
  - name: smart
    provider: openAI
    params: {{model: fake-1, baseUrl: "https://127.0.0.1:{made.port}/v1",
             apiKey: {{file: "{secret}"}}}}
    {tls}
rouse:
  credentials:
  - name: git
    hosts: ["127.0.0.1"]
    from: {{file: "{secret}"}}
    placeholder: {PLACEHOLDER}
  - name: added
    hosts: ["127.0.0.1"]
    from: {{file: "{secret}"}}
    for: '!request.host.startsWith("git.")'
"""
