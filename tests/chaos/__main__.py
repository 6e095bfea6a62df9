"""`make chaos`: every fault at every point, again and again, and the matrix of what came of it.

`python -m tests.chaos [SECONDS [on]]` (an hour unless told) writes docs/chaos.md; `on` goes on with
what is there, the cells with the fewest faults first. A round that breaks a promise ends it, with
the step and the fault, and leaves the processes' output where it says.
"""

import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

from lifecycle.failpoints import Point
from tests.chaos.matrix import Matrix
from tests.chaos.world import Fault, world

DOCUMENT = Path(__file__).parents[2] / "docs" / "chaos.md"
PER_WORLD = 12
"""Faults in one cluster, before all of its records are checked."""


def main(seconds: float, *, goes_on: bool) -> int:
    began = time.monotonic()
    matrix = Matrix.read(DOCUMENT.read_text()) if goes_on else Matrix()
    cells = [(point, fault) for point in Point for fault in Fault]
    random.shuffle(cells)
    while time.monotonic() - began < seconds:
        root = Path(tempfile.mkdtemp(prefix="rouse-chaos-"))
        with world(root) as here:
            struck = 0
            while struck < PER_WORLD and time.monotonic() - began < seconds:
                point, fault = min(cells, key=lambda cell: matrix.counts[cell])
                print(f"{point}, {fault}", end=" ", flush=True)  # noqa: T201
                took_s = here.strike(point, fault)
                print(f"{took_s:.1f} s", flush=True)  # noqa: T201
                matrix.add(point, fault, took_s)
                struck += 1
                here.come_back()
            here.clients.stop()
            acked, lost = here.verdict()
            matrix.checked(acked, lost, here.referee.shown)
        # Rewritten after each: what is there has been checked.
        shutil.rmtree(root)
        DOCUMENT.write_text(matrix.document(time.monotonic() - began))
    print(DOCUMENT.read_text())  # noqa: T201
    return 0


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(main(float(given[0]) if given else 3600.0, goes_on=given[1:] == ["on"]))
