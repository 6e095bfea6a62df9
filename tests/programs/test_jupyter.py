"""A Jupyter server with its kernels: files are kept in each class, variables where memory is."""

import json
import sys
import uuid
from typing import Any

import pytest

from tests.programs.sockets import websocket
from tests.programs.stage import PATIENCE_S, Example, apply
from tests.system.product import Answer, Process

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

TOKEN = {"Authorization": "token let-me-in", "Content-Type": "application/json"}
NOTE = {"type": "file", "format": "text", "content": "kept while it slept\n"}


def lab(up: Process, runtime: str) -> Example:
    """Run by the Python that has jupyter-server."""
    env = [
        {"name": "TOKEN", "value": "let-me-in"},
        {"name": "JUPYTER_PYTHON", "value": sys.executable},
    ]
    return apply(up, "jupyter", f"lab-{runtime}", runtime, env=env)


def ask(lab: Example, method: str, path: str, document: object = None) -> Any:
    body = None if document is None else json.dumps(document).encode()
    answer: Answer = lab.send(method, "ada", path, headers=TOKEN, body=body)
    assert answer.status < 300, answer
    return answer.json()


def run(lab: Example, kernel: str, code: str) -> str:
    """What a cell prints, over a WebSocket of its own as a browser that comes back has it."""
    path = f"/api/kernels/{kernel}/channels?session_id={uuid.uuid4().hex}&token=let-me-in"
    head = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.4"}
    head |= {"username": "ada", "session": uuid.uuid4().hex, "date": ""}
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
    content |= {"allow_stdin": False, "stop_on_error": True}
    asked = {"header": head, "parent_header": {}, "metadata": {}, "content": content}
    printed, parts = "", set[str]()
    with websocket(lab, "ada", path) as channels:
        channels.send(json.dumps({**asked, "channel": "shell", "buffers": []}))
        # The answer and the end of its output come by two channels, in any order.
        while parts != {"execute_reply", "idle"}:
            told = json.loads(channels.recv(PATIENCE_S))
            if told["parent_header"].get("msg_id") != head["msg_id"]:
                continue
            kind, said = told["msg_type"], told["content"]
            if kind == "stream":
                printed += said["text"]
            elif kind == "execute_reply":
                assert said["status"] == "ok", said
                parts.add(kind)
            elif kind == "status" and said["execution_state"] == "idle":
                parts.add("idle")
    return printed


def test_a1_a54_a_jupyter_server_wakes_with_its_files_and_without_its_kernels(up: Process) -> None:
    it = lab(up, "bubblewrap")
    ask(it, "PUT", "/api/contents/note.txt", NOTE)
    kernel = ask(it, "POST", "/api/kernels", {"name": "python3"})["id"]
    assert run(it, kernel, "answer = 41; print(answer + 1)") == "42\n"
    before = ask(it, "GET", "/api/status")["started"]
    it.suspend("ada")
    assert ask(it, "GET", "/api/contents/note.txt")["content"] == NOTE["content"]
    assert ask(it, "GET", "/api/status")["started"] != before
    assert ask(it, "GET", "/api/kernels") == []


def test_s52_variables_of_a_kernel_live_on_over_sleeps(up: Process, gvisor: str) -> None:
    it = lab(up, gvisor)
    ask(it, "PUT", "/api/contents/note.txt", NOTE)
    kernel = ask(it, "POST", "/api/kernels", {"name": "python3"})["id"]
    assert run(it, kernel, "answer = 41; print(answer + 1)") == "42\n"
    before = ask(it, "GET", "/api/status")["started"]
    for turn in range(1, 4):
        it.suspend("ada")
        # Nothing before it: the WebSocket itself wakes the server (A66), the kernel is there.
        assert run(it, kernel, "answer += 1; print(answer)") == f"{41 + turn}\n"
    assert ask(it, "GET", "/api/status")["started"] == before
    assert ask(it, "GET", "/api/contents/note.txt")["content"] == NOTE["content"]


def test_jupyters_own_refusal_is_passed_on_as_it_is(up: Process) -> None:
    answer = lab(up, "bubblewrap").send("GET", "ada", "/api/contents")
    assert (answer.status, answer.json()["message"]) == (403, "Forbidden")
