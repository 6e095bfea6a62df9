"""`rouse egress`: what the egress proxy would do, and what it did."""

import os
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.failures import Failure

app = typer.Typer(help="What actors may send out.", no_args_is_help=True)


@app.command("validate")
def validate(
    file: Annotated[Path, typer.Argument(help="An egress document.", show_default=False)],
) -> None:
    """Check an egress document, as the worker would at its start."""
    # Here, since CEL and YAML cost more to import than other commands take.
    from gateway.egress.config.reading import read
    from lifecycle.strict import NotUnderstood

    try:
        document = read(file.read_bytes(), os.environ)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error
    except NotUnderstood as error:
        raise Failure(f"{file}: {error}") from error
    counts = ", ".join(f"{number} {what}" for what, number in document.summary.items())
    typer.echo(f"{file}: good ({counts})")
