"""The routes as a client sees them: paths, bodies, statuses and what comes back."""

import copy
import datetime
import time
from typing import Any

import pytest

from lifecycle.errors import NoCapacity, StartFailed
from placement.model import ActorId
from tests.fake_worker import COUNTER, FakeFleet
from tests.gateway.control.serving import TOKENS, Admin, serving

C1 = "/v1/namespaces/demo/actors/c1"


def document(**metadata: str) -> dict[str, Any]:
    made: dict[str, Any] = copy.deepcopy(COUNTER)
    made["metadata"].update(metadata)
    return made


async def with_actor(admin: Admin, name: str = "c1") -> Any:
    await admin.ask("POST", "/v1/templates", document())
    body = {"name": name, "template": "counter"}
    return await admin.ask("POST", "/v1/namespaces/demo/actors", body, status=201)


async def test_a_template_is_applied_got_listed_and_deleted(admin: Admin) -> None:
    applied = await admin.ask("POST", "/v1/templates", document())
    assert applied["applied"] == "created"
    assert applied["document"]["spec"]["command"] == COUNTER["spec"]["command"]
    again = await admin.ask("POST", "/v1/templates", document())
    assert again["applied"] == "unchanged" and again["digest"] == applied["digest"]
    path = "/v1/namespaces/demo/templates/counter"
    got = await admin.ask("GET", path)
    assert "applied" not in got and got["document"] == applied["document"]
    assert (await admin.ask("GET", "/v1/templates?namespace=demo"))["items"] == [got]
    assert await admin.ask("DELETE", path, status=204) == ""
    assert (await admin.fault("GET", path, status=404))["reason"] == "no-template"


async def test_an_actor_is_forked(admin: Admin) -> None:
    source = await with_actor(admin)
    made = await admin.ask("POST", C1 + "/fork", {"name": "c2"}, status=201)
    assert (made["namespace"], made["name"], made["template"]) == ("demo", "c2", "counter")
    assert made["uid"] != source["uid"] and made["state"] == "SUSPENDED"
    assert (await admin.fault("POST", C1 + "/fork", {"name": "c2"}, status=409))["reason"] == (
        "exists"
    )
    body = {"name": "c3", "namespace": "other"}
    refused = await admin.fault("POST", C1 + "/fork", body, status=409)
    assert refused["reason"] == "other-namespace"


async def test_what_a_template_shows_can_be_applied_again(admin: Admin) -> None:
    shown = (await admin.ask("POST", "/v1/templates", document()))["document"]
    assert (await admin.ask("POST", "/v1/templates", shown))["applied"] == "unchanged"


async def test_a_template_may_be_sent_as_yaml(admin: Admin) -> None:
    text = (
        "apiVersion: rouse.dev/v1alpha1\nkind: ActorTemplate\n"
        "metadata: {namespace: demo, name: counter}\nspec: {command: [python3]}\n"
    )
    headers = {"Content-Type": "application/yaml"}
    async with admin.session.post(
        admin.url + "/v1/templates", data=text, headers=headers
    ) as answer:
        assert answer.status == 200, await answer.text()
    async with admin.session.post(
        admin.url + "/v1/templates", data=text + "---\n" + text, headers=headers
    ) as answer:
        assert answer.status == 400 and "one at a time" in await answer.text()


async def test_a_wrong_document_is_refused_by_its_path(admin: Admin) -> None:
    wrong = document()
    wrong["spec"]["comand"] = wrong["spec"].pop("command")
    error = await admin.fault("POST", "/v1/templates", wrong, status=400)
    assert error["reason"] == "bad-document"
    assert error["message"] == "spec.comand: unknown field; did you mean command?"


async def test_a_template_in_use_is_deleted_by_force(admin: Admin) -> None:
    await with_actor(admin)
    path = "/v1/namespaces/demo/templates/counter"
    assert (await admin.fault("DELETE", path, status=409))["reason"] == "in-use"
    await admin.ask("DELETE", f"{path}?force=true", status=204)


async def test_an_actor_goes_through_its_life(admin: Admin) -> None:
    created = await with_actor(admin)
    assert (created["state"], created["epoch"], created["snapshot"]) == ("SUSPENDED", 0, None)
    woken = await admin.ask("POST", f"{C1}/wake", {"wait": "5s"})
    assert woken["state"] == "RUNNING" and woken["worker"] == "w1"
    assert woken["wake"] == {
        "began": True,
        "phases": {
            "total": 41.5,
            "queue": 0.5,
            "claim": 1.0,
            "fetch": 2.0,
            "restore": 30.0,
            "ready": 8.0,
        },
    }
    shown = await admin.ask("GET", C1)
    assert "wake" not in shown and shown["residence"] == {
        "state": "running",
        "runtime": "process",
        "tickets": 0,
        "idle": 1.5,
        "pid": 4711,
        "memory": 9_000_000,
        "chosen": "",
    }
    suspended = await admin.ask("POST", f"{C1}/suspend")
    assert (suspended["state"], suspended["snapshot"]) == ("SUSPENDED", "1-snapshot")
    assert (await admin.ask("GET", C1))["residence"] is None
    await admin.ask("DELETE", C1, status=204)
    error = await admin.fault("GET", C1, status=404)
    assert (error["reason"], error["actor"]) == ("no-actor", "demo/c1")


async def test_an_actors_json_has_what_the_design_promises(admin: Admin) -> None:
    created = await with_actor(admin)
    promised = "namespace name uid state epoch revision worker snapshot template reason failures"
    assert set(created) == {*promised.split(), "created", "active", "policy", "residence"}
    assert created["created"].endswith("Z") and created["residence"] is None


async def test_a_name_that_is_taken_or_none_is_refused(admin: Admin) -> None:
    await with_actor(admin)
    body = {"name": "c1", "template": "counter"}
    path = "/v1/namespaces/demo/actors"
    assert (await admin.fault("POST", path, body, status=409))["reason"] == "exists"
    bad = {"name": "Not_A_Label", "template": "counter"}
    assert (await admin.fault("POST", path, bad, status=400))["reason"] == "bad-name"
    missing = {"name": "c2", "template": "none"}
    assert (await admin.fault("POST", path, missing, status=404))["reason"] == "no-template"


async def test_an_open_request_makes_a_suspend_busy_unless_forced(admin: Admin) -> None:
    await with_actor(admin)
    await admin.ask("POST", f"{C1}/wake")
    admin.fleet.workers["w1"].tickets.add(ActorId("demo", "c1"))
    error = await admin.fault("POST", f"{C1}/suspend", {"wait": "0s"}, status=409)
    assert error["reason"] == "busy"
    forced = await admin.ask("POST", f"{C1}/suspend", {"force": True})
    assert forced["state"] == "SUSPENDED"


async def test_actors_are_listed_by_page_and_filter(admin: Admin) -> None:
    for name in ("a", "b", "c"):
        await with_actor(admin, name)
    await admin.ask("POST", "/v1/namespaces/demo/actors/b/wake")
    page = await admin.ask("GET", "/v1/actors?namespace=demo&limit=2")
    assert [actor["name"] for actor in page["items"]] == ["a", "b"]
    rest = await admin.ask("GET", "/v1/actors", params={"cursor": page["next"], "limit": 2})
    assert [actor["name"] for actor in rest["items"]] == ["c"] and rest["next"] is None
    running = await admin.ask("GET", "/v1/actors?state=RUNNING&worker=w1&template=counter")
    assert [actor["name"] for actor in running["items"]] == ["b"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("stat=RUNNING", "stat: unknown field; did you mean state?"),
        ("state=SLEEPY", "state: invalid enum value 'SLEEPY'"),
        ("limit=0", "limit: 0 is not between 1 and 1000"),
        ("limit=many", "limit: expected `int`, got `str`"),
        ("limit=1&limit=2", "limit: is given twice"),
        ("cursor=none", "actor 'none' is not of the form namespace/name"),
        ("namespace=No", "namespace 'No' is not a DNS-1123 label"),
    ],
)
async def test_a_wrong_query_is_named(admin: Admin, query: str, message: str) -> None:
    error = await admin.fault("GET", f"/v1/actors?{query}", status=400)
    assert error["message"].startswith(message)


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/wake", {"wait": "soon"}, "wait: 'soon' is no duration"),
        ("/wake", {"wait": "never"}, "wait: never is more than 1h"),
        ("/suspend", {"forse": True}, "forse: unknown field; did you mean force?"),
        ("/suspend", {"force": "yes"}, "force: expected `bool`, got `str`"),
        ("/suspend", [], "expected `object`, got `array`"),
    ],
)
async def test_a_wrong_body_is_named(admin: Admin, path: str, body: object, message: str) -> None:
    error = await admin.fault("POST", C1 + path, body, status=400)
    assert error["message"].startswith(message)


async def test_a_parameter_where_none_is_known_is_refused(admin: Admin) -> None:
    error = await admin.fault("GET", "/v1/workers?all=1", status=400)
    assert error["message"] == "all: unknown parameter; none is known here"


async def test_a74_a_wake_that_failed_says_why_and_when_to_come_again(admin: Admin) -> None:
    await with_actor(admin)
    actor = ActorId("demo", "c1")
    admin.fleet.wake_error = StartFailed("exited with status 3", actor=actor, retry_after_s=4)
    async with admin.session.post(admin.url + f"{C1}/wake", json={}) as answer:
        assert answer.status == 503 and answer.headers["Retry-After"] == "4"
        error = (await answer.json())["error"]
        assert (error["reason"], error["actor"]) == ("failed-start", "demo/c1")
    admin.fleet.wake_error = NoCapacity("no worker has a free slot", actor=actor)
    assert (await admin.fault("POST", f"{C1}/wake", status=503))["reason"] == "no-capacity"


async def test_logs_are_text(admin: Admin) -> None:
    await with_actor(admin)
    await admin.ask("POST", f"{C1}/wake")
    admin.fleet.workers["w1"].output = b"<b>one</b>\ntwo\n"
    async with admin.session.get(admin.url + f"{C1}/logs?tail=2") as answer:
        assert answer.content_type == "text/plain"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert await answer.text() == "<b>one</b>\ntwo\n"
    assert await admin.ask("GET", f"{C1}/logs?tail=1") == "two\n"


async def test_a_policy_is_put_and_shown(admin: Admin) -> None:
    await with_actor(admin)
    policy = {"idle": {"suspendAfter": "never"}}
    assert (await admin.ask("PUT", f"{C1}/policy", policy))["policy"] == policy
    error = await admin.fault("PUT", f"{C1}/policy", {"idel": "never"}, status=400)
    assert error["message"] == "idel: unknown field; did you mean idle?"


async def test_workers_are_listed_and_drained(admin: Admin) -> None:
    await with_actor(admin)
    await admin.ask("POST", f"{C1}/wake")
    (worker,) = (await admin.ask("GET", "/v1/workers"))["items"]
    assert (worker["id"], worker["slots"], worker["draining"]) == ("w1", 4, False)
    assert await admin.ask("POST", "/v1/workers/w1/drain") == {"id": "w1", "drained": True}
    assert (await admin.ask("GET", C1))["state"] == "SUSPENDED"
    assert (await admin.fault("POST", "/v1/workers/w9/drain", status=404))["reason"] == "no-worker"


async def test_a_token_is_signed_for_one_actor_and_a_time(admin: Admin) -> None:
    before = int(time.time())
    answer = await admin.ask("POST", "/v1/namespaces/demo/actors/c9/token", {"expires": "30m"})
    found = TOKENS.read(answer["token"].encode())
    assert found is not None and found.actor == ActorId("demo", "c9")
    assert before + 1800 <= found.expires <= int(time.time()) + 1800
    assert (answer["namespace"], answer["name"]) == ("demo", "c9")
    said = datetime.datetime.fromisoformat(answer["expires"])
    assert said.timestamp() == found.expires


@pytest.mark.parametrize("expires", ["never", "0", "500ms", "9000h", "soon", 5])
async def test_a_token_ends_within_a_year(admin: Admin, expires: object) -> None:
    path = "/v1/namespaces/demo/actors/c9/token"
    fault = await admin.fault("POST", path, {"expires": expires}, status=400)
    assert "expires" in fault["message"]


async def test_a_process_without_a_key_mints_nothing(fleet: FakeFleet) -> None:
    async with serving(fleet, tokens=None) as admin:
        path = "/v1/namespaces/demo/actors/c9/token"
        assert (await admin.fault("POST", path, status=409))["reason"] == "no-token-key"
