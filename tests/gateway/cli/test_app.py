"""The command line as a whole: exit codes, and nothing heavy loaded to say little."""

import subprocess
import sys

import typer

from gateway.cli import worker
from gateway.cli.app import INTERRUPTED, make_app, run

HEAVY = ("aiohttp", "aiobotocore", "botocore", "redis", "cryptography", "rich", "yaml", "asyncio")


def test_asking_for_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from gateway.main import main; main(['actor', '--help']); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "suspend" in ended.stdout and ended.stderr == "[]\n"


def test_a_reader_that_went_away_is_no_traceback() -> None:
    program = f"{sys.executable} -m gateway --help | true"
    ended = subprocess.run(["sh", "-c", program], capture_output=True, text=True)
    assert ended.stderr == ""


def test_an_interrupt_ends_as_shells_expect() -> None:
    app = typer.Typer()

    @app.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert run(app, []) == INTERRUPTED


def test_no_command_shows_the_commands() -> None:
    assert run(make_app(worker.group()), []) == 2
