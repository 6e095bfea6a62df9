"""`rouse template`: files become templates, and a wrong file is named with the field's path."""

from pathlib import Path

import pytest
import yaml

from lifecycle.documents import template_from_json
from tests.gateway.cli.conftest import Shell

DOCUMENT = """
apiVersion: rouse.dev/v1alpha1
kind: ActorTemplate
metadata: {namespace: demo, name: NAME}
spec: {command: [python3, -m, counter], workingDir: ./counter, durable: [/data]}
"""

GOOD = DOCUMENT.replace("NAME", "counter")


def written(directory: Path, *names: str) -> Path:
    file = directory / "templates.yaml"
    file.write_text("---".join(DOCUMENT.replace("NAME", name) for name in names))
    return file


async def test_a_file_is_applied_with_its_working_directory_made_absolute(
    rouse: Shell, tmp_path: Path
) -> None:
    file = written(tmp_path, "counter")
    assert (await rouse("template", "apply", "-f", str(file))).out == (
        "template demo/counter created\n"
    )
    assert "unchanged" in (await rouse("template", "apply", "-f", str(file))).out
    kept = await rouse.fleet.templates.get("demo", "counter")
    assert template_from_json(kept.body).working_dir == tmp_path / "counter"


async def test_all_documents_of_a_file_are_applied(rouse: Shell, tmp_path: Path) -> None:
    file = written(tmp_path, "one", "two")
    both = await rouse("template", "apply", "-f", str(file), "-o", "json")
    assert [each["name"] for each in both.json["items"]] == ["one", "two"]
    listed = (await rouse("template", "list")).out.splitlines()
    assert listed[1].split()[:6] == ["demo", "one", "auto", "python3", "-m", "counter"]
    assert len(listed) == 3


async def test_what_get_prints_can_be_applied(rouse: Shell, tmp_path: Path) -> None:
    await rouse("template", "apply", "-f", str(written(tmp_path, "counter")))
    shown = await rouse("template", "get", "demo/counter", "-o", "yaml")
    assert yaml.safe_load(shown.out)["kind"] == "ActorTemplate"
    again = tmp_path / "again.yaml"
    again.write_text(shown.out)
    assert "unchanged" in (await rouse("template", "apply", "-f", str(again))).out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("durable", "durabel"), "spec.durabel: unknown field; did you mean dur"),
        (GOOD.replace("command: [python3, -m, counter], ", ""), "spec.command: is missing"),
        (GOOD + "---" + GOOD.replace("demo", "Demo"), "document 2: metadata.namespace: 'Demo'"),
        ("a: [", "not YAML"),
        ("", "there is no document in it"),
    ],
)
async def test_a_wrong_file_stores_nothing(
    rouse: Shell, tmp_path: Path, text: str, message: str
) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    ended = await rouse("template", "apply", "-f", str(file), code=1)
    assert ended.err.startswith(f"rouse: {file}: ") and message in ended.err
    assert await rouse.fleet.templates.list(None) == ()


async def test_a_file_that_is_not_there_is_said_so(rouse: Shell, tmp_path: Path) -> None:
    ended = await rouse("template", "apply", "-f", str(tmp_path / "none"), code=1)
    assert "No such file" in ended.err


async def test_a_template_in_use_is_deleted_by_force(rouse: Shell) -> None:
    await rouse.fleet.actor("c1")
    ended = await rouse("template", "delete", "demo/counter", code=1)
    assert "demo/c1 for one" in ended.err and "--force" in ended.err
    gone = await rouse("template", "delete", "demo/counter", "--force", "-o", "json")
    assert gone.json == {"namespace": "demo", "name": "counter", "deleted": True}
    await rouse("template", "get", "demo/counter", code=4)
