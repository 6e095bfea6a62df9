"""A namespace's quota through the real store: what is applied is there, what is wrong is said."""

import pytest
from redis.asyncio import Redis

from lifecycle.namespace_actions import NamespaceActions, NamespaceStanding
from lifecycle.strict import NotUnderstood
from placement.model import ActorId
from placement.quotas import Quotas


def document(name: str = "demo", **quota: object) -> dict[str, object]:
    return {
        "apiVersion": "rouse.dev/v1alpha1",
        "kind": "Namespace",
        "metadata": {"name": name},
        "spec": {"quota": quota},
    }


async def test_what_is_applied_is_got_and_listed_with_what_runs(redis: Redis) -> None:
    quotas = Quotas(redis, lasts_s=30)
    actions = NamespaceActions(quotas)
    standing = await actions.apply(document(running=5))
    assert standing == NamespaceStanding(name="demo", quota=5, running=0)
    assert await quotas.take(ActorId("demo", "c1"), "w1", 5)
    assert (await actions.get("demo")).running == 1
    await actions.apply(document("a", running=0))
    assert [each.name for each in await actions.list()] == ["a", "demo"]


async def test_a_namespace_without_a_quota_is_not_counted(redis: Redis) -> None:
    actions = NamespaceActions(Quotas(redis, lasts_s=30))
    await actions.apply(document(running=5))
    assert await actions.apply(document()) == NamespaceStanding(
        name="demo", quota=None, running=None
    )
    assert await actions.list() == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (document(running=-1), r"spec\.quota\.running"),
        (document(runing=1), r"spec\.quota\.runing"),
        (document("No Label", running=1), r"metadata\.name"),
        ({**document(), "kind": "ActorTemplate"}, "rouse template apply"),
        ({**document(), "kind": "Namespaces"}, "Namespace"),
    ],
)
async def test_a_wrong_document_changes_nothing(redis: Redis, given: object, said: str) -> None:
    actions = NamespaceActions(Quotas(redis, lasts_s=30))
    with pytest.raises(NotUnderstood, match=said):
        await actions.apply(given)
    assert await actions.list() == []
