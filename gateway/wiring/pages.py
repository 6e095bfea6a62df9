"""Whose template lets a browser see the waiting page."""

from collections.abc import Awaitable, Callable

from lifecycle.catalogue import KnownTemplates
from placement.errors import PlacementError
from placement.model import ActorId
from placement.table import Table


def pages_of(table: Table, templates: KnownTemplates) -> Callable[[ActorId], Awaitable[bool]]:
    """Asked only when a browser has waited for a while, so it may cost a look at the table."""

    async def allowed(actor: ActorId) -> bool:
        try:
            record = await table.read(actor)
            if record is None:
                return False
            template = await templates.get(actor.namespace, record.template)
        except PlacementError:
            return False  # the wait, which goes on, will say what is wrong
        return template is not None and template.waiting_page

    return allowed
