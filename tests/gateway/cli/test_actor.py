"""`rouse actor`: each command does what it says; a refusal is one sentence and an exit code."""

import pytest
import yaml

from lifecycle.errors import StartFailed
from lifecycle.snapshots.newest import Kept
from placement.model import ActorId
from tests.gateway.cli.conftest import Shell
from tests.gateway.control.serving import TOKENS

C1 = ActorId("demo", "c1")


async def test_an_actor_goes_through_its_life(rouse: Shell) -> None:
    await rouse.fleet.actor("seed")
    made = await rouse("actor", "create", "c1", "--template", "counter", "-n", "demo", "-o", "json")
    assert (made.json["namespace"], made.json["name"], made.json["state"]) == (
        "demo",
        "c1",
        "SUSPENDED",
    )
    woken = await rouse("actor", "wake", "demo/c1", "-o", "json")
    assert woken.json["state"] == "RUNNING" and woken.json["wake"]["phases"]["total"] == 41.5
    shown = await rouse("actor", "get", "c1", "-n", "demo", "-o", "json")
    assert shown.json["residence"]["pid"] == 4711
    assert {"namespace", "name", "state", "epoch", "worker", "snapshot", "template"} <= set(
        shown.json
    )
    suspended = await rouse("actor", "suspend", "demo/c1", "--wait", "1s", "-o", "yaml")
    assert yaml.safe_load(suspended.out)["snapshot"] == "1-snapshot"
    gone = await rouse("actor", "delete", "demo/c1")
    assert gone.out == "actor demo/c1 deleted\n"
    await rouse("actor", "get", "demo/c1", code=4)


async def test_an_actor_is_forked_within_its_namespace(rouse: Shell) -> None:
    await rouse.fleet.actor("c1")
    await rouse("actor", "wake", "demo/c1")
    made = await rouse("actor", "fork", "c1", "c2", "-n", "demo", "-o", "json")
    assert (made.json["name"], made.json["snapshot"]) == ("c2", "0-of-1-saved")
    again = await rouse("actor", "fork", "demo/c1", "c2", code=1)
    assert "already" in again.err
    away = await rouse("actor", "fork", "demo/c1", "other/c2", code=1)
    assert "namespace" in away.err
    await rouse("actor", "fork", "demo/none", "c3", code=4)


async def test_a_table_has_a_line_for_each(rouse: Shell) -> None:
    await rouse.fleet.actor("a")
    await rouse.fleet.actor("b")
    await rouse("actor", "wake", "demo/b")
    lines = (await rouse("actor", "list")).out.splitlines()
    assert lines[0].split() == [
        "NAMESPACE",
        "NAME",
        "STATE",
        "EPOCH",
        "WORKER",
        "SNAPSHOT",
        "TEMPLATE",
        "REASON",
    ]
    assert lines[1].split() == ["demo", "a", "SUSPENDED", "0", "-", "-", "counter", "-"]
    assert lines[2].split() == ["demo", "b", "RUNNING", "1", "w1", "-", "counter", "-"]
    assert (await rouse("actor", "list", "-n", "none")).out == "none\n"


async def test_a_list_is_filtered_and_has_all_pages(
    rouse: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b", "c"):
        await rouse.fleet.actor(name)
    await rouse("actor", "wake", "demo/b")
    found = await rouse("actor", "list", "--state", "running", "-t", "counter", "-o", "json")
    assert [each["name"] for each in found.json["items"]] == ["b"]
    assert "next" not in found.json
    first = await rouse("actor", "list", "--limit", "2", "-o", "json")
    assert [each["name"] for each in first.json["items"]] == ["a", "b"]
    rest = await rouse("actor", "list", "--limit", "2", "--cursor", first.json["next"])
    assert [line.split()[1] for line in rest.out.splitlines()] == ["NAME", "c"]
    more = await rouse("actor", "list", "--limit", "1")
    assert more.err == "more: --cursor demo/a\n"
    assert (await rouse("actor", "list", "--idle", "1h")).out == "none\n"
    assert len((await rouse("actor", "list", "--idle", "0s", "-o", "json")).json["items"]) == 3
    await rouse("actor", "list", "--idle", "never", code=1)
    await rouse("actor", "list", "--state", "sleepy", code=1)


async def test_an_unknown_actor_ends_with_4_and_the_request_id(rouse: Shell) -> None:
    ended = await rouse("actor", "get", "nobody", code=4)
    assert ended.out == ""
    assert ended.err.startswith("rouse: there is no actor default/nobody; see `rouse actor list`")
    assert "(request " in ended.err and ended.err.count("\n") == 1


async def test_a_busy_actor_ends_with_1_and_what_to_do(rouse: Shell) -> None:
    await rouse.fleet.actor("c1")
    await rouse("actor", "wake", "demo/c1")
    rouse.fleet.workers["w1"].tickets.add(C1)
    ended = await rouse("actor", "suspend", "demo/c1", code=1)
    assert "1 open request; give its requests time with --wait 30s" in ended.err
    await rouse("actor", "suspend", "demo/c1", "--force")


async def test_many_are_made_and_deleted_in_one_command(
    rouse: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rouse.fleet.actor("b")
    monkeypatch.setattr("gateway.cli.options.MOST", 2)  # so that it takes two calls
    made = await rouse("actor", "create", "a", "b", "c", "-t", "counter", "-n", "demo")
    lines = [line.split() for line in made.out.splitlines()]
    assert [(line[1], line[2]) for line in lines[1:]] == [
        ("a", "created"),
        ("b", "exists"),
        ("c", "created"),
    ]
    gone = await rouse("actor", "delete", "demo/a", "demo/b", "demo/d", "-o", "json")
    assert [each["result"] for each in gone.json["items"]] == ["deleted", "deleted", "absent"]
    left = await rouse("actor", "list", "-o", "json")
    assert [each["name"] for each in left.json["items"]] == ["c"]
    failed = await rouse("actor", "create", "x", "y", "-t", "none", "-n", "demo", code=1)
    assert "2 of 2 failed" in failed.err and "there is no template demo/none" in failed.out


async def test_a_failed_start_says_why(rouse: Shell) -> None:
    await rouse.fleet.actor("c1")
    rouse.fleet.wake_error = StartFailed("exited with status 3", actor=C1)
    ended = await rouse("actor", "wake", "demo/c1", code=1)
    assert "exited with status 3; see `rouse actor logs`" in ended.err


async def test_logs_are_printed_as_they_were(rouse: Shell) -> None:
    await rouse.fleet.actor("c1")
    assert (await rouse("actor", "logs", "demo/c1")).out == ""
    await rouse("actor", "wake", "demo/c1")
    rouse.fleet.workers["w1"].output = b"one\ntwo\nno newline"
    assert (await rouse("actor", "logs", "demo/c1", "--tail", "2")).out == "two\nno newline"
    assert (await rouse("actor", "logs", "demo/c1", "-o", "json")).json["lines"][0] == "one"


async def test_a_policy_is_set_and_cleared(rouse: Shell) -> None:
    await rouse.fleet.actor("c1")
    kept = await rouse("actor", "policy", "demo/c1", "--suspend-after", "never", "-o", "json")
    assert kept.json["policy"] == {"idle": {"suspendAfter": "never"}}
    cleared = await rouse("actor", "policy", "demo/c1", "--clear", "-o", "json")
    assert cleared.json["policy"] is None
    await rouse("actor", "policy", "demo/c1", code=2)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("actor", "wake", "demo/c1", "--wait", "soon"), "--wait: 'soon' is no duration"),
        (("actor", "wake", "demo/c1", "--wait", "never"), "--wait: waiting has an end"),
        (("actor", "get", "demo/c1", "-n", "other"), "demo/c1 is not in namespace other"),
        (("actor", "get"), "Missing argument"),
        (("actor", "create", "c1"), "Missing option"),
        (("actor", "get", "c1", "-o", "xml"), "'xml'"),
    ],
)
async def test_wrong_usage_ends_with_2(rouse: Shell, argv: tuple[str, ...], message: str) -> None:
    assert message in (await rouse(*argv, code=2)).err


async def test_a_bad_name_is_the_apis_to_judge(rouse: Shell) -> None:
    ended = await rouse("actor", "get", "Not A/../Label", "-n", "Not A", code=1)
    assert "is not a DNS-1123 label" in ended.err


async def test_a_token_stands_alone_for_a_shell_and_whole_for_a_program(rouse: Shell) -> None:
    alone = await rouse("actor", "token", "demo/c1", "--expires", "5m")
    found = TOKENS.read(alone.out.strip().encode())
    assert found is not None and str(found.actor) == "demo/c1"
    whole = (await rouse("actor", "token", "c1", "-n", "demo", "-o", "json")).json
    assert set(whole) == {"namespace", "name", "token", "expires"}
    assert "duration" in (await rouse("actor", "token", "c1", "--expires", "x", code=2)).err


async def test_records_that_were_lost_are_made_anew_from_the_store(rouse: Shell) -> None:
    rouse.fleet.leases.ttl_s = 0.01
    rouse.fleet.kept = [
        Kept(
            actor=ActorId(ns, "c1"),
            uid=f"{n:016x}",
            epoch=4,
            snapshot="4-snapshot",
            template="counter",
            saved_ms=1_763_930_000_000,
        )
        for n, ns in enumerate(("demo", "other"))
    ]
    done = (await rouse("actor", "rebuild", "-n", "demo", "-o", "json")).json
    assert done == {"rebuilt": 1, "present": 0, "older": 0, "unreadable": 0}
    lines = (await rouse("actor", "rebuild")).out.splitlines()
    assert lines[1].split() == ["1", "1", "0", "0"]
    record = await rouse.fleet.actions.record(ActorId("demo", "c1"))
    assert (record.snapshot, record.template) == ("4-snapshot", "counter") and record.epoch > 4
