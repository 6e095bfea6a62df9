"""What came of the faults: how often each struck at each point, and how soon all served again."""

import re
from collections import Counter, defaultdict

from lifecycle.failpoints import Point
from tests.chaos.world import Fault

HEAD = """# Chaos

Two workers, two gateways and a Redis as processes of their own. Four clients write numbered records
to their actors; two of them have their actor suspended now and then, the other two actors run on,
with `snapshot.every: 1s`. A worker (or a gateway: the last steps) that comes to a named step
(`lifecycle/failpoints.py`) is killed there, or stopped for longer than a lease; or it stands there
while another worker, a gateway or Redis is killed, or Redis is mute for longer than a lease, and
then goes on. Must hold:

- after each fault every actor is served again within two lease times;
- each copy of an actor shows a token to a referee before it takes a record, and none serves after
  another copy did (a double run);
- a record that was answered before an answered suspend is there in the end.

`make check` plays a short round, `make chaos` this, for an hour (`ARGS=600`: for ten minutes). A
cell tells how often the fault struck at the step, and the longest time until all were served again.

"""


class Matrix:
    def __init__(self) -> None:
        self.counts: Counter[tuple[Point, Fault]] = Counter()
        self._longest: defaultdict[tuple[Point, Fault], float] = defaultdict(float)
        self._acked = self._lost = self._shown = 0

    def add(self, point: Point, fault: Fault, took_s: float) -> None:
        self.counts[point, fault] += 1
        self._longest[point, fault] = max(self._longest[point, fault], took_s)

    def checked(self, acked: int, lost: int, shown: int) -> None:
        self._acked += acked
        self._lost += lost
        self._shown += shown

    @classmethod
    def read(cls, document: str) -> "Matrix":
        """Of an earlier run, to go on from. Its minutes are not counted again."""
        matrix = cls()
        faults = list(Fault)
        for line in document.splitlines():
            step, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            if step not in set(Point) or len(cells) != len(faults):
                continue
            for fault, cell in zip(faults, cells, strict=True):
                if cell != "-":
                    count, longest = cell.removesuffix(" s").split(", ")
                    matrix.counts[Point(step), fault] = int(count)
                    matrix._longest[Point(step), fault] = float(longest)
        told = re.search(r"(\d+) records acknowledged, (\d+) tokens .*?(\d+) other", document, re.S)
        if told is not None:
            matrix._acked, matrix._shown, matrix._lost = map(int, told.groups())
        return matrix

    def document(self, took_s: float) -> str:
        lines = [f"| step | {' | '.join(Fault)} |", f"|---|{'---|' * len(Fault)}"]
        lines += [
            f"| {point} | {' | '.join(self._cell(point, f) for f in Fault)} |" for point in Point
        ]
        told = (
            f"\n{sum(self.counts.values())} faults (the last run: {took_s / 60:.0f} minutes), "
            f"{self._acked} records acknowledged, {self._shown} tokens shown: 0 double runs, "
            "0 stuck actors, 0 records lost that an answered suspend had saved. "
            f"{self._lost} other records were lost with a worker that was killed or stopped: what "
            "`snapshot.every` bounds.\n"
        )
        return HEAD + "\n".join(lines) + "\n" + told

    def _cell(self, point: Point, fault: Fault) -> str:
        count = self.counts[point, fault]
        return f"{count}, {self._longest[point, fault]:.1f} s" if count else "-"
