"""Print the table of docs/strictness.md: `python -m tests.system.strictness [case...]`.

With names of cases it tells what became of those instead.
"""

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.gateway.ingress.corpus.answers import ANSWERS
from tests.gateway.ingress.corpus.requests import REQUESTS
from tests.system.strictness.fronts import FRONTS
from tests.system.strictness.judge import Fate, Verdict, judge, table


async def main(names: Sequence[str]) -> None:
    cases = [c for c in (*REQUESTS, *ANSWERS) if not names or str(c) in names]
    verdicts: dict[str, Sequence[Verdict]] = {}
    for proxy in FRONTS:
        with tempfile.TemporaryDirectory() as directory:
            judged = await judge(proxy, cases, Path(directory))
        verdicts[proxy] = sorted(judged, key=lambda v: cases.index(v.case))
    print(table(verdicts))  # noqa: T201 - a report for a terminal
    for proxy, each in verdicts.items():
        for v in each:
            if names or v.fate is Fate.DIFFERED:
                print(f"{proxy}: {v.case}: {v.fate} {v.status} {v.passed} {v.why}")  # noqa: T201


asyncio.run(main(sys.argv[1:]))
