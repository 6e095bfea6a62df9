"""Templates through the real catalog: what is applied is there; what is in the way is said."""

import copy
from typing import Any

import pytest
from redis.asyncio import Redis

from lifecycle.documents import template_from_json
from lifecycle.errors import NoSuchTemplate, TemplateConflict, TemplateInUse
from lifecycle.strict import NotUnderstood
from lifecycle.template_actions import Applied
from placement.table import Table
from tests.fake_worker import COUNTER, FakeFleet


@pytest.fixture
def fleet(redis: Redis, table: Table) -> FakeFleet:
    return FakeFleet(redis=redis, table=table)


def document(name: str = "counter", namespace: str = "demo", **spec: Any) -> dict[str, Any]:
    made: dict[str, Any] = copy.deepcopy(COUNTER)
    made["metadata"] = {"namespace": namespace, "name": name}
    made["spec"].update(spec)
    return made


async def test_apply_says_whether_anything_changed(fleet: FakeFleet) -> None:
    apply = fleet.templates.apply
    assert (await apply(document())).applied is Applied.CREATED
    assert (await apply(document())).applied is Applied.UNCHANGED
    assert (await apply(document(durable=["/data"]))).applied is Applied.CHANGED


async def test_what_was_applied_is_got_and_listed(fleet: FakeFleet) -> None:
    await fleet.templates.apply(document(durable=["/data"]))
    await fleet.templates.apply(document(namespace="other"))
    got = await fleet.templates.get("demo", "counter")
    assert template_from_json(got.body).durable == ("/data",)
    assert [each.namespace for each in await fleet.templates.list(None)] == ["demo", "other"]
    assert await fleet.templates.list("demo") == (got,)


async def test_a_wrong_document_stores_nothing(fleet: FakeFleet) -> None:
    with pytest.raises(NotUnderstood, match=r"spec\.comand"):
        await fleet.templates.apply(document(comand=["a"]))
    assert await fleet.templates.list(None) == ()


async def test_one_template_of_a_namespace_creates_on_request(fleet: FakeFleet) -> None:
    creating = {"onRequest": True}
    await fleet.templates.apply(document("first", create=creating))
    with pytest.raises(TemplateConflict, match="demo/first creates actors on request"):
        await fleet.templates.apply(document("second", create=creating))
    await fleet.templates.apply(document("first", create=creating, durable=["/data"]))
    await fleet.templates.apply(document("second", namespace="other", create=creating))


async def test_a_template_in_use_is_deleted_only_by_force(fleet: FakeFleet) -> None:
    actor = await fleet.actor("c1")
    with pytest.raises(TemplateInUse, match="demo/c1 for one"):
        await fleet.templates.delete("demo", "counter", force=False)
    await fleet.templates.delete("demo", "counter", force=True)
    assert (await fleet.actions.record(actor)).template == "counter"


async def test_a_template_that_is_not_there_is_said_so(fleet: FakeFleet) -> None:
    with pytest.raises(NoSuchTemplate, match="no template demo/none"):
        await fleet.templates.get("demo", "none")
    with pytest.raises(NoSuchTemplate):
        await fleet.templates.delete("demo", "none", force=False)


async def test_a_document_of_a_later_version_stands_in_nobodys_way(fleet: FakeFleet) -> None:
    later = b'{"spec":{"command":["a"],"novelty":{},"create":{"onRequest":true}}}'
    await fleet.catalog.put("demo", "later", later, "0" * 64)
    await fleet.templates.apply(document())
    with pytest.raises(TemplateConflict, match="demo/later"):
        await fleet.templates.apply(document(create={"onRequest": True}))
