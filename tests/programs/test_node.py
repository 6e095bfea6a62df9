"""A Node server: its file in each class, its heap where memory is kept."""

import os
import shutil

import pytest

from tests.programs.stage import apply
from tests.system.product import Process

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def node() -> None:
    if shutil.which("node") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("CI must have node: `make tools`")
        pytest.skip("no node here: `make tools`")


@pytest.mark.timeout(300)
def test_a54_a_node_server_wakes_with_its_file_and_its_heap_where_memory_is_kept(
    up: Process, runtime: str
) -> None:
    web = apply(up, "node", f"web-{runtime}", runtime)
    assert [web.get("a")["ram"], web.get("a")["ram"]] == [1, 2]
    before = web.get("a")
    for turn in range(1, 4):
        web.suspend("a")
        told = web.get("a")
        assert told["file"] == 3 + turn and told["actor"] == f"web-{runtime}/a"
        if runtime == "gvisor":
            assert (told["ram"], told["pid"]) == (3 + turn, before["pid"])
            assert told["woken"] >= turn, "the program is told of each wake"
        else:
            assert told["ram"] == 1


def test_s55_two_actors_of_one_template_are_each_themselves(up: Process, gvisor: str) -> None:
    web = apply(up, "node", "web-two", gvisor)
    assert web.get("one")["ram"] == 1
    assert [web.get("two")["ram"] for _ in range(2)] == [1, 2]
    for actor in ("one", "two"):
        web.suspend(actor)
    told = {actor: web.get(actor) for actor in ("one", "two")}
    assert {actor: each["actor"] for actor, each in told.items()} == {
        "one": "web-two/one",
        "two": "web-two/two",
    }
    assert (told["one"]["ram"], told["two"]["ram"]) == (2, 3)
