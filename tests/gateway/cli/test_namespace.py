"""`rouse namespace`."""

from pathlib import Path

from tests.gateway.cli.conftest import Shell

DOCUMENT = """
apiVersion: rouse.dev/v1alpha1
kind: Namespace
metadata: {name: demo}
spec: {quota: {running: 2}}
---
apiVersion: rouse.dev/v1alpha1
kind: Namespace
metadata: {name: other}
spec: {quota: {running: 7}}
"""


async def test_a_quota_is_set_shown_listed_and_taken_away(rouse: Shell) -> None:
    lines = (await rouse("namespace", "set", "demo", "--running", "20")).out.splitlines()
    assert lines[1].split() == ["demo", "20", "0"]
    got = (await rouse("namespace", "get", "demo", "-o", "json")).json
    assert got == {"name": "demo", "quota": {"running": 20}, "running": 0}
    await rouse("namespace", "set", "demo", "--running", "none")
    assert (await rouse("namespace", "list")).out == "none\n"


async def test_a_file_is_applied_whole_or_not_at_all(rouse: Shell, tmp_path: Path) -> None:
    file = tmp_path / "quotas.yaml"
    file.write_text(DOCUMENT)
    await rouse("namespace", "apply", "-f", str(file))
    listed = (await rouse("namespace", "list", "-o", "json")).json["items"]
    assert [(each["name"], each["quota"]["running"]) for each in listed] == [
        ("demo", 2),
        ("other", 7),
    ]
    file.write_text(DOCUMENT.replace("2}", "3}").replace("running: 7", "runing: 7"))
    assert "runing" in (await rouse("namespace", "apply", "-f", str(file), code=1)).err
    assert (await rouse("namespace", "get", "demo", "-o", "json")).json["quota"]["running"] == 2


async def test_what_is_no_number_is_a_mistake_of_usage(rouse: Shell) -> None:
    assert (
        "neither a number"
        in (await rouse("namespace", "set", "demo", "--running", "many", code=2)).err
    )


async def test_a_template_is_sent_to_where_it_belongs(rouse: Shell, tmp_path: Path) -> None:
    file = tmp_path / "quotas.yaml"
    file.write_text(DOCUMENT)
    assert (
        "rouse namespace apply" in (await rouse("template", "apply", "-f", str(file), code=1)).err
    )
