"""A program nobody here wrote, as an actor: a Jupyter server wakes, sleeps and keeps its files."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any, Protocol

import pytest
import yaml

TEMPLATE = Path(__file__).parents[2] / "examples" / "jupyter" / "template.yaml"
TOKEN = "let-me-in"

pytestmark = pytest.mark.system


class Up(Protocol):
    """The started product, as the fixture `up` gives it."""

    url: str

    def cli(self, *args: str) -> CompletedProcess[str]: ...
    def host(self, actor: str, ns: str) -> Mapping[str, str]: ...


def ask(up: Up, method: str, path: str, document: object = None) -> tuple[int, Any]:
    """One request to the actor `lab/ada`, with Jupyter's token."""
    request = urllib.request.Request(
        up.url + path,
        None if document is None else json.dumps(document).encode(),
        {**up.host("ada", "lab"), "Authorization": f"token {TOKEN}"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(500)


@pytest.fixture
def lab(up: Up, tmp_path: Path) -> Up:
    """The product with the template applied, for the interpreter that has jupyter-server."""
    document = yaml.safe_load(TEMPLATE.read_text())
    document["spec"]["env"].append({"name": "JUPYTER_PYTHON", "value": sys.executable})
    path = tmp_path / "template.yaml"
    path.write_text(yaml.safe_dump(document))
    done = up.cli("template", "apply", "-f", str(path))
    assert done.returncode == 0, done.stderr
    return up


@pytest.mark.timeout(300)
def test_a1_a54_a_jupyter_server_wakes_on_request_and_keeps_its_files(lab: Up) -> None:
    note = {"type": "file", "format": "text", "content": "kept while it slept\n"}
    status, told = ask(lab, "PUT", "/api/contents/note.txt", note)
    assert status == 201, told
    before = ask(lab, "GET", "/api/status")[1]["started"]

    suspended = lab.cli("actor", "suspend", "ada", "-n", "lab", "--wait", "30s")
    assert suspended.returncode == 0, suspended.stderr

    status, told = ask(lab, "GET", "/api/contents/note.txt")
    assert (status, told["content"]) == (200, "kept while it slept\n")
    assert ask(lab, "GET", "/api/status")[1]["started"] != before


def test_jupyters_own_refusal_is_passed_on_as_it_is(lab: Up) -> None:
    request = urllib.request.Request(
        lab.url + "/api/contents", headers=dict(lab.host("ada", "lab"))
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=90)
    with caught.value as answer:
        assert (answer.code, json.load(answer)["message"]) == (403, "Forbidden")
