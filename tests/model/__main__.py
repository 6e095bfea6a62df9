"""`make model`: the model with more faults than a check has time for, and the planted mistakes.

`python -m tests.model all` also tries two faults with two gateways, whose end nobody has seen yet.
"""

import sys

from tests.model.calls import Rules
from tests.model.explore import explore
from tests.model.test_model import BUGS, FORGETFUL_BUGS


def main() -> int:
    is_broken = False
    sizes = [(0, 2), (1, 2), (2, 1)]
    if sys.argv[1:] == ["all"]:
        sizes.append((2, 2))
    for faults, gateways in sizes:
        found = explore(Rules(faults=faults, gateways=gateways))
        print(f"{faults} faults, {gateways} gateways: {found}", flush=True)  # noqa: T201
        print("".join(f"  {step}\n" for step in found.trace), end="")  # noqa: T201
        is_broken |= bool(found.violation) or not found.is_whole
    for faults, gateways in ((1, 1), (1, 2), (2, 1)):
        # A worker that dies or stands still over a failover may take what it knew with it (P2).
        rules = Rules(faults=faults, gateways=gateways, failover=True, only_p1=faults > 1)
        found = explore(rules)
        print(f"failover, {faults} faults, {gateways} gateways: {found}", flush=True)  # noqa: T201
        print("".join(f"  {step}\n" for step in found.trace), end="")  # noqa: T201
        is_broken |= bool(found.violation) or not found.is_whole
    for faults in (1, 2):
        found = explore(Rules(faults=faults, gateways=1, checkpoints=True))
        print(f"checkpoints, {faults} faults, 1 gateway: {found}", flush=True)  # noqa: T201
        print("".join(f"  {step}\n" for step in found.trace), end="")  # noqa: T201
        is_broken |= bool(found.violation) or not found.is_whole
    for bug in FORGETFUL_BUGS:
        found = explore(Rules(faults=1, gateways=1, failover=True, bug=bug))
        print(f"planted: {bug}: {found}", flush=True)  # noqa: T201
        is_broken |= not found.violation
    for bug in BUGS:
        found = explore(Rules(faults=1, bug=bug))
        print(f"planted: {bug}: {found}", flush=True)  # noqa: T201
        is_broken |= not found.violation
    return 1 if is_broken else 0


if __name__ == "__main__":
    sys.exit(main())
