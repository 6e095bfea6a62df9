"""Entry point of the command `rouse` and of `python -m gateway`."""

import sys

from gateway.main import main as run_command


def main() -> None:
    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()
