"""results.md: one section per benchmark, each replaced by name when it is run again, and under
which circumstances it ran."""

import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

RESULTS = Path(__file__).with_name("results.md")
_TITLE = """\
# Results

Written by `make bench` and `make bench-placement`. Shared machines are noisy: read the ratios,
which are of the same minutes, before the numbers.
"""


def replaced(text: str, name: str, body: str) -> str:
    """`text` with the section `name` holding `body`; a new section comes last."""
    section = f"## {name}\n\n{body.strip()}\n"
    text = text.strip() or _TITLE.strip()
    found = re.search(rf"^## {re.escape(name)}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if found is None:
        return f"{text}\n\n{section}"
    before, after = text[: found.start()].rstrip(), text[found.end() :].strip()
    return f"{before}\n\n{section}" + (f"\n{after}\n" if after else "")


def write(name: str, body: str, path: Path = RESULTS) -> None:
    before = path.read_text() if path.exists() else ""
    path.write_text(replaced(before, name, body))


def machine(when: str) -> str:
    """Cores, kernel, Python; nothing that names the machine or its owner."""
    cpu = "unknown processor"
    cores = 0
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            cores += 1
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return (
        f"{when}; {cores} cores of {cpu}, {memory:.0f} GB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def versions(commands: dict[str, list[str]], packages: list[str]) -> str:
    """`nginx 1.22.1, aiohttp 3.12`: the first version in what each says of itself."""
    told = []
    for name, command in commands.items():
        # wrk tells its version with status 1.
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        told.append(f"{name} {first_version(done.stdout)}")
    for package in packages:
        try:
            told.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            continue
    return ", ".join(told)


def first_version(text: str) -> str:
    found = re.search(r"\d+\.\d+(\.\d+)*", text)
    return found[0] if found else "?"
