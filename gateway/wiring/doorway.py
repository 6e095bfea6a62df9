"""The door's usher: the worker's own tickets, for requests that another relay of ours sent on."""

from gateway.ingress.seams import Demand, Ticket
from gateway.wiring.refusals import refusal
from lifecycle.errors import LifecycleError
from lifecycle.host.door import Door


class DoorUsher:
    def __init__(self, door: Door) -> None:
        self._door = door

    def admit(self, demand: Demand) -> Ticket | None:
        try:
            return self._door.admit(
                demand.actor, demand.port, demand.uid, demand.epoch, demand.is_quiet
            )
        except LifecycleError as error:
            raise refusal(error, demand.actor, demand.request_id) from error

    async def admit_waiting(self, demand: Demand) -> Ticket:
        try:
            return await self._door.admit_waiting(
                demand.actor,
                port=demand.port,
                uid=demand.uid,
                epoch=demand.epoch,
                deadline=demand.deadline,
            )
        except LifecycleError as error:
            raise refusal(error, demand.actor, demand.request_id) from error

    def forget(self, demand: Demand, ticket: Ticket) -> None:
        # Its ticket led to the copy itself; that it cannot be reached is for the host to notice.
        pass
