"""Make .venv and install one lock file into it, with nothing but the interpreter that runs this."""

import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST = (3, 11)


def main(lock: str) -> None:
    if sys.version_info < OLDEST:
        raise SystemExit(
            f"rouse needs Python {OLDEST[0]}.{OLDEST[1]} or newer, this is {sys.version.split()[0]}"
        )
    python = VENV / "bin" / "python"
    if not python.exists():
        print("making .venv", flush=True)
        try:
            venv.create(VENV, with_pip=True, symlinks=True)
        except subprocess.CalledProcessError as error:
            raise SystemExit(
                f"cannot make .venv with {sys.executable}: {error}\n"
                "(Debian and Ubuntu keep what it needs in the package python3-venv)"
            ) from error
    print(f"installing {lock} (once)", flush=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--require-hashes", "-r", str(ROOT / lock)], check=True)
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "-e", str(ROOT)], check=True)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"set-up failed: {error}") from error
