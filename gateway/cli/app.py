"""The client commands as one typer application, and how a command line becomes an exit code."""

import os
import sys
from collections.abc import Sequence

import typer

from gateway.cli import actor, egress, namespace, template
from gateway.cli.doctor import doctor
from gateway.cli.failures import Failure

INTERRUPTED = 130


def make_app(workers: typer.Typer) -> typer.Typer:
    """All that asks a running rouse or looks at this machine; gateway.main adds the roles.

    `workers` is `worker.group()`, perhaps with a role of its own."""
    app = typer.Typer(
        name="rouse",
        help="HTTP proxies that wake actors on request.",
        no_args_is_help=True,
        add_completion=False,
        # Plain help: rich costs more to import than a whole command takes.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.add_typer(template.app, name="template")
    app.add_typer(actor.app, name="actor")
    app.add_typer(workers, name="worker")
    app.add_typer(namespace.app, name="namespace")
    app.add_typer(egress.app, name="egress")
    app.command("doctor")(doctor)
    return app


def run(app: typer.Typer, argv: Sequence[str]) -> int:
    """Run one command line; every foreseen failure is one sentence on stderr."""
    try:
        app(args=list(argv), prog_name="rouse")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except Failure as failure:
        typer.echo(f"rouse: {failure}", err=True)
        return failure.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough (`| head`); nothing may be flushed into the pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
