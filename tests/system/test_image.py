"""Actors whose system is an OCI image: started, put to sleep and woken in it, in both classes."""

import os
from pathlib import Path
from typing import Any

import pytest

from runtimes import runsc
from tests.oci_layout import file, layout, serving, tar
from tests.system.product import Process, role, started, template

pytestmark = [pytest.mark.system, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


def of_image(kind: str, image: Path, **spec: Any) -> dict[str, Any]:
    return template(
        "image",
        ns=kind,
        runtime={"class": kind},
        image=str(image),
        env=[{"name": "FROM_TEMPLATE", "value": "yes"}],
        durable=["/data"],
        readiness={"tcpSocket": {}},
        idle={"freezeAfter": "never", "suspendAfter": "never"},
        create={"onRequest": True},
        **spec,
    )


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with started(role("up", tmp_path_factory.mktemp("up"))) as process:
        yield process


def tell(up: Process, kind: str) -> dict[str, str]:
    answer = up.get("a", "/cgi-bin/tell", ns=kind)
    assert answer.status == 200, (answer, up.output())
    return dict(line.split(" ", 1) for line in answer.body.decode().splitlines())


@pytest.mark.parametrize("kind", ["bubblewrap", "gvisor"])
def test_r17_an_actor_runs_in_its_image_and_wakes_there(
    up: Process, tmp_path: Path, kind: str
) -> None:
    if kind == "gvisor" and runsc.find() is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must have it: {runsc.HOW_TO_GET_IT}")
        pytest.skip(runsc.HOW_TO_GET_IT)
    assert up.apply(of_image(kind, serving(tmp_path / "image"))).status == 200
    told = tell(up, kind)
    assert (told["cwd"], told["image"], told["template"]) == ("/srv", "yes", "yes")
    assert told["usr"] == "0"  # nothing of the host's
    assert told["calls"] == "1"
    if kind == "gvisor":
        assert (told["user"], told["root"]) == ("77", "read-only")  # as `web`, in a root of root's
    else:
        assert told["root"] == "read-only"
    done = up.cli("actor", "suspend", "a", "-n", kind, "--wait", "10s")
    assert done.returncode == 0, done.stderr
    assert tell(up, kind)["calls"] == "2"
    roots = list((up.data / "worker" / "images").iterdir())
    assert not any((path / "root" / "mark").exists() for path in roots)


def test_a_hostile_image_is_refused_by_name(up: Process, tmp_path: Path) -> None:
    bad = layout(tmp_path / "bad", [tar(file("../../../mark"))], config={"Cmd": ["/x"]})
    assert up.apply(of_image("bubblewrap", bad)).status == 200
    answer = up.get("bad", ns="bubblewrap")
    assert answer.status == 503 and "layer names" in up.actor("bad", "bubblewrap")["reason"]
