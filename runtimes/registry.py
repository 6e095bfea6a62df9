"""Which runtime classes work on this machine, and which of them a template gets."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from runtimes.base import Capabilities, Driver, RuntimeClass, RuntimeFailure, Scope
from runtimes.bubblewrap import Bubblewrap
from runtimes.cgroups import find_tree
from runtimes.gvisor import Gvisor
from runtimes.microvm import Microvm, monitor
from runtimes.ports import Ports
from runtimes.process import Process
from runtimes.spawn import in_thread

AUTO = "auto"


async def survey(root: Path, hidden: Sequence[Path] = ()) -> dict[RuntimeClass, Driver]:
    """A driver of every class, whether it works here or not: its fingerprint says. `root` is the
    worker's own directory for them; a driver's records are below it. `hidden`: what else of rouse's
    no actor may see (its data directory)."""
    tree = await in_thread(find_tree)
    limits = None if tree is None else tree.with_version_1()
    ports = Ports()
    return {
        RuntimeClass.GVISOR: Gvisor(root / "gvisor", tree=tree, hidden=hidden),
        RuntimeClass.MICROVM: Microvm(
            root / "microvm", tree=tree, hidden=hidden, vmm=await in_thread(monitor)
        ),
        RuntimeClass.BUBBLEWRAP: Bubblewrap(
            root / "bubblewrap", tree=limits, ports=ports, hidden=hidden
        ),
        RuntimeClass.PROCESS: Process(root / "process", tree=limits, ports=ports),
    }


async def available(root: Path, hidden: Sequence[Path] = ()) -> dict[RuntimeClass, Driver]:
    """The drivers that work here, each tried for real."""
    found = await survey(root, hidden)
    return {
        runtime: driver for runtime, driver in found.items() if (await driver.fingerprint()).works
    }


def choose(
    requires: Collection[str], drivers: Mapping[RuntimeClass, Driver], wanted: str
) -> Driver:
    """The driver of class `wanted`; for `auto` the one that isolates most of those that meet
    `requires`, and one that is there by request alone only when no other does. Raises
    RuntimeFailure that says of each class why not."""
    why_not: dict[str, str] = {}
    best: Driver | None = None
    for runtime in RuntimeClass:
        if wanted not in (AUTO, runtime):
            continue
        driver = drivers.get(runtime)
        if driver is None:
            why_not[runtime] = "does not work on this worker"
        elif wanted == AUTO and driver.capabilities().by_name:
            why_not[runtime] = "is emulated here, so only by its name"
        elif lacks := _lacking(requires, driver.capabilities()):
            why_not[runtime] = "lacks " + ", ".join(lacks)
        elif best is None or _rank(driver) > _rank(best):
            best = driver
    if best is not None:
        return best
    if not why_not:
        known = ", ".join([AUTO, *RuntimeClass])
        raise RuntimeFailure(f"there is no runtime class {wanted!r}; there are {known}")
    reasons = "; ".join(f"{runtime} {reason}" for runtime, reason in why_not.items())
    raise RuntimeFailure(f"no runtime class here will do: {reasons}")


def _rank(driver: Driver) -> tuple[bool, int]:
    can = driver.capabilities()
    return not can.by_request, can.isolation


def meets(can: Capabilities) -> tuple[str, ...]:
    """What a template may require and these have."""
    found = {
        "full-snapshot": Scope.FULL in can.scopes,
        "isolation": can.isolation > 0,
        "image": can.roots,
    }
    return tuple(requirement for requirement, is_met in found.items() if is_met)


def _lacking(requires: Collection[str], can: Capabilities) -> list[str]:
    # A requirement we do not know is not met: better no start than one without what was asked.
    met = meets(can)
    return [requirement for requirement in requires if requirement not in met]
