"""`rouse egress`: what the egress proxy would do, and what it did."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from gateway import places
from gateway.cli.failures import USAGE, Failure

if TYPE_CHECKING:
    from gateway.egress.config.values import Source

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
    for warning in document.warnings:
        typer.echo(f"{file}: warning: {warning}")
    typer.echo(f"{file}: good ({counts})")


@app.command("check")
def check(
    url: Annotated[str, typer.Argument(help="Where it would call.", show_default=False)],
    file: Annotated[Path, typer.Option("-f", "--file", help="The egress document.")],
    actor: Annotated[str, typer.Option("--actor", help="NAMESPACE/NAME.")],
    template: Annotated[str, typer.Option("--template", help="The actor's template.")] = "",
    method: Annotated[str, typer.Option("-X", "--method", help="HTTP method.")] = "GET",
    header: Annotated[
        list[str] | None, typer.Option("-H", "--header", help="NAME: VALUE, as it would send it.")
    ] = None,
    body: Annotated[str, typer.Option("-d", "--data", help="The body it would send.")] = "",
) -> None:
    """Say what would become of a call and why, without making it."""
    from gateway.egress.ask import Actor
    from gateway.egress.config.reading import read
    from gateway.egress.explaining import explain

    namespace, slash, name = actor.partition("/")
    if not slash:
        raise Failure(f"--actor: {actor} is not NAMESPACE/NAME", code=USAGE)
    try:
        document = read(file.read_bytes(), os.environ)
        who = Actor(namespace=namespace, name=name, template=template)
        verdict = explain(
            document, who, method, url, fields=_fields(header or []), body=body.encode(),
            text=_text,
        )  # fmt: skip
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error
    except ValueError as error:
        raise Failure(str(error)) from error
    for step in verdict.steps:
        typer.echo(step)
    typer.echo(f"allowed: {'yes' if verdict.allowed else 'no'}")
    raise typer.Exit(0 if verdict.allowed else 1)


def _fields(given: list[str]) -> list[tuple[str, str]]:
    pairs = [each.partition(":") for each in given]
    for name, colon, _value in pairs:
        if not colon or not name.strip():
            raise Failure(f"--header: {name[:40]} is not NAME: VALUE", code=USAGE)
    return [(name.strip().lower(), value.strip()) for name, _colon, value in pairs]


def _text(source: "Source") -> str:
    """What callers are checked with, where it is a file or stands in the document."""
    if source.value is not None:
        return source.value
    if source.file is None:
        raise LookupError("it is fetched by the worker")
    try:
        return source.file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LookupError(str(error)) from error


@app.command("log")
def show_log(
    data: Annotated[
        Path | None, typer.Option("--data", help="The worker's data directory.")
    ] = None,
    actor: Annotated[str | None, typer.Option("--actor", help="Only of NAMESPACE/NAME.")] = None,
    denied: Annotated[bool, typer.Option("--denied", help="Only what was refused.")] = False,
    count: Annotated[int, typer.Option("-n", "--lines", help="The last ones.")] = 50,
) -> None:
    """Show what the egress proxy of a worker on this machine decided."""
    from collections import deque

    from gateway.egress.audit import Line

    path = (data or places.data_dir(os.environ)) / "egress" / "egress.log"
    kept: deque[Line] = deque(maxlen=max(count, 1))
    try:
        with path.open("rb") as file:
            for raw in file:
                line = msgspec.json.decode(raw, type=Line)
                is_wanted = actor is None or line.actor == actor
                if is_wanted and not (denied and line.decision != "deny"):
                    kept.append(line)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise Failure(f"{path}: not a log of this version: {error}") from error
    for line in kept:
        what = f"{line.method} {line.to}{line.path}".strip()
        told = line.reason or line.route
        typer.echo(f"{line.at} {line.actor} {line.decision} {line.status} {what}  {told}")
