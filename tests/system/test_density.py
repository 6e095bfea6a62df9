"""More actors than a cluster has slots for, used in turn: `make density` does it with 1000."""

from pathlib import Path

import pytest

from tests.system.apart import Apart, apply_counter, cold_wakes, table_server
from tests.system.crowd import Crowd
from tests.system.load import names_of
from tests.system.product import started, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

ACTORS, WORKERS, SLOTS = 60, 3, 4


def test_r23_sixty_actors_in_turn_on_twelve_slots_are_all_served_with_their_files(
    tmp_path: Path,
) -> None:
    with table_server() as table:
        apart = Apart(tmp_path, table)
        workers = [apart.worker(f"w{n}", "--slots", str(SLOTS)) for n in range(WORKERS)]
        gateways = [apart.gateway(f"g{n}") for n in range(2)]
        with started(*workers, *gateways):
            # Nothing but need puts one to sleep, and the one that was used longest ago goes.
            apply_counter(gateways[0], "demo", idle={"freezeAfter": "200ms", "suspendAfter": "1h"})
            crowd = Crowd(gateways=gateways, names=names_of("many", ACTORS))
            crowd.go_round(callers=6)
            assert crowd.failed == []
            # Again, the first ones, which have slept since: from their snapshots.
            crowd.names = crowd.names[:20]
            crowd.go_round(callers=6)
            assert crowd.failed == []
            assert cold_wakes(*workers) >= ACTORS + 20
            until(
                "nobody waits, and no slot is lost",
                lambda: (
                    sum(g.metric("rouse_parked") for g in gateways) == 0
                    and sum(w.metric("rouse_slots", kind="free") for w in workers)
                    + sum(w.metric("rouse_actors", state="running") for w in workers)
                    + sum(w.metric("rouse_actors", state="frozen") for w in workers)
                    == WORKERS * SLOTS
                ),
            )
