"""An agent: POST /tasks gives it one, it talks with an LLM until that has answered, using a tool
that the LLM may ask for. GET /conversation tells how far it is.

It holds no key: the egress proxy puts one in. While a call to the LLM is open the actor stays up,
though nobody waits for it here; between tasks it sleeps. The conversation is kept in a file.
"""

import json
import os
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

KEPT = Path(os.environ["ROUSE_DATA"]) / "conversation.json"
LLM_URL = os.environ.get("LLM_URL", "https://api.openai.com/v1/chat/completions")
MODEL = os.environ.get("LLM_MODEL", "gpt-4.1-mini")
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "The sum of numbers",
        "parameters": {
            "type": "object",
            "properties": {"numbers": {"type": "array", "items": {"type": "number"}}},
        },
    },
}
conversation: list[dict[str, object]] = json.loads(KEPT.read_text()) if KEPT.exists() else []
changing = threading.Lock()


def say(message: dict[str, object]) -> None:
    with changing:
        conversation.append(message)
        KEPT.with_suffix(".new").write_text(json.dumps(conversation))
        KEPT.with_suffix(".new").replace(KEPT)


def ask() -> dict:
    """The LLM's next message."""
    body = json.dumps({"model": MODEL, "messages": conversation, "tools": [TOOL]}).encode()
    fields = {"Content-Type": "application/json"}
    # HTTPS_PROXY and SSL_CERT_FILE are set in every actor: urllib needs no more.
    request = urllib.request.Request(LLM_URL, body, fields)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["choices"][0]["message"]


def work() -> None:
    """Until the LLM has said what it has to say. One at a time: it is one conversation."""
    with working:
        while conversation and needs_answer(conversation[-1]):
            try:
                said = ask()
            except OSError as error:
                said = {"role": "assistant", "content": f"no answer: {error}"}
            say(said)
            for call in said.get("tool_calls") or ():
                numbers = json.loads(call["function"]["arguments"])["numbers"]
                say({"role": "tool", "tool_call_id": call["id"], "content": str(sum(numbers))})


working = threading.Lock()


def needs_answer(message: dict[str, object]) -> bool:
    return message["role"] in ("user", "tool")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        say({"role": "user", "content": text})
        threading.Thread(target=work, daemon=True).start()
        self.answer(202, {"messages": len(conversation)})

    def do_GET(self) -> None:
        self.answer(200, "ok" if self.path == "/healthz" else conversation)

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
    # Where a crash left a question without its answer.
    threading.Thread(target=work, daemon=True).start()
    where = (os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"]))
    ThreadingHTTPServer(where, Handler).serve_forever()
