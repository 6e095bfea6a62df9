"""The LLM of the agent's tests: it thinks until it is let go, serves only who shows the key, asks
for the tool before it answers, and keeps what it was asked."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY = "sk-live-of-the-worker-alone"
HOST = "llm.test"
URL = f"https://{HOST}/v1/chat/completions"

POLICY = """
binds:
- {{port: 3128, tunnelProtocol: connect, listeners: []}}
- port: 443
  mode: internal
  listeners:
  - protocol: HTTPS
    tls: {{mode: dynamicCa}}
    routes:
    - name: llm
      hostnames: [{host}]
      backends: [{{host: "127.0.0.1:{port}"}}]
      policies: {{backendAuth: {{key: {{file: "{key}"}}}}}}
"""


@dataclass
class Llm:
    policy: Path
    """For the worker: how actors come here, and with which key."""
    asked: list[list[dict[str, Any]]] = field(default_factory=list)
    """The conversation of each call."""
    keys: set[str] = field(default_factory=set)
    may_answer: threading.Event = field(default_factory=threading.Event)


def _handler(llm: Llm) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            messages = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"]
            llm.keys.add(self.headers.get("Authorization", ""))
            if f"Bearer {KEY}" not in llm.keys:
                self.answer(401, {"error": "no key"})
                return
            llm.asked.append(messages)
            assert llm.may_answer.wait(100)
            self.answer(200, {"choices": [{"message": _next(messages)}]})

        def answer(self, status: int, told: object) -> None:
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def _next(messages: list[dict[str, Any]]) -> dict[str, Any]:
    """A tool's result is read out; a question is handed to the tool."""
    last = messages[-1]
    if last["role"] == "tool":
        return {"role": "assistant", "content": f"It is {last['content']}."}
    numbers = [int(word) for word in last["content"].split() if word.isdigit()]
    function = {"name": "add", "arguments": json.dumps({"numbers": numbers})}
    call = {"id": f"call-{len(messages)}", "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


@contextlib.contextmanager
def serving(home: Path) -> Iterator[Llm]:
    (home / "key").write_text(KEY)
    llm = Llm(policy=home / "egress.yaml")
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(llm))
    server.daemon_threads = True
    llm.policy.write_text(POLICY.format(host=HOST, port=server.server_address[1], key=home / "key"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield llm
    finally:
        llm.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()
