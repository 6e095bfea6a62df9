"""`rouse worker list` and `drain`; the role that `rouse worker` alone starts is in gateway.main."""

from typing import Annotated

import typer

from gateway.cli import options
from gateway.cli.client import segment
from gateway.cli.options import AdminUrl, Output
from gateway.cli.output import Format, done, show

COLUMNS = ("id", "slots", "free", "runtimes", "draining", "labels", "door")
DRAIN_S = 3600.0
"""As long as the slowest actor's last request may take."""


def list_workers(output: Output = Format.TABLE, admin_url: AdminUrl = None) -> None:
    """List the workers that are alive."""
    show(options.client(admin_url).ask("GET", "/v1/workers"), output, COLUMNS)


def drain(
    worker: Annotated[str, typer.Argument(help="ID of `rouse worker list`.", show_default=False)],
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Suspend all actors of a worker as their requests end; it takes no new ones."""
    path = f"/v1/workers/{segment(worker)}/drain"
    answer = options.client(admin_url).ask("POST", path, patience_s=DRAIN_S)
    done(f"worker {worker} drained: it holds no actor", output, answer)


def group() -> typer.Typer:
    """The two commands; gateway.main makes the role this group's own command."""
    app = typer.Typer(help="Workers: see them and empty them; alone, it starts one.")
    app.command("list")(list_workers)
    app.command("drain")(drain)
    return app
