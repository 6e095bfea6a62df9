"""Templates decide, on a real table."""

from gateway.wiring.pages import pages_of
from lifecycle.catalogue import KnownTemplates
from placement.leases import boot_time
from placement.model import ActorId
from tests.lifecycle.host.fakes import World, template


async def test_a3_the_template_says_whether_a_browser_sees_the_page(world: World) -> None:
    actor = await world.create("c1")
    known = KnownTemplates(world.catalog, clock=boot_time)
    allowed = pages_of(world.table, known)
    assert not await allowed(actor)
    await world.apply(template(wake={"waitingPage": True}))
    known.forget()
    assert await allowed(actor)
    assert not await allowed(ActorId("demo", "unknown"))
