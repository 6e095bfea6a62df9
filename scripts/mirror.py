"""Check that tests/ mirrors the code: each test module has its module, and the reverse."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("gateway", "lifecycle", "placement", "runtimes", "loadtest")
# Rooms of tests that mirror no one file: contracts of seams, interleavings, the started product.
ROOMS = ("chaos", "contract", "model", "programs", "races", "system")
# Tested through what they join: entry points, and wiring that only a started product can show.
THROUGH_SYSTEM = {
    "gateway/__main__.py",
}


def modules() -> set[str]:
    found = (path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
    return {str(path.relative_to(ROOT)) for path in found if path.name != "__init__.py"}


def tests() -> set[str]:
    return {
        str(path.relative_to(ROOT / "tests"))
        for path in (ROOT / "tests").rglob("test_*.py")
        if path.relative_to(ROOT / "tests").parts[0] not in ROOMS
    }


def main() -> int:
    tested = {str(Path(t).parent / Path(t).name.removeprefix("test_")) for t in tests()}
    known = modules()
    strangers = sorted(tested - known)
    untested = sorted(known - tested - THROUGH_SYSTEM)
    for name in strangers:
        print(f"tests/{Path(name).parent}/test_{Path(name).name} tests no module of that name")
    for name in untested:
        print(f"{name} has no test module")
    return 1 if strangers or untested else 0


if __name__ == "__main__":
    sys.exit(main())
