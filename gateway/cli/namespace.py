"""`rouse namespace`: apply, set, get, list: what a tenant may have running at once."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import options
from gateway.cli.client import segment
from gateway.cli.failures import USAGE, Failure
from gateway.cli.options import AdminUrl, Output
from gateway.cli.output import Format, show

app = typer.Typer(help="Namespaces: how many actors a tenant may run.", no_args_is_help=True)

COLUMNS = ("name", "quota.running", "running")
_PATH = "/v1/namespaces"

NamespaceName = Annotated[str, typer.Argument(help="The namespace.", show_default=False)]


@app.command("apply")
def apply(
    file: Annotated[str, typer.Option("-f", "--file", help="YAML or JSON; - is stdin.")],
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Set what the documents of a file say (kind Namespace); all are read before one is sent."""
    documents = _read(file)
    asker = options.client(admin_url)
    items = [asker.ask("POST", _PATH, document) for document in documents]
    show({"items": items}, output, COLUMNS)


@app.command("set")
def set_quota(
    name: NamespaceName,
    running: Annotated[
        str, typer.Option("--running", help="Actors that may run at once; none: no quota.")
    ],
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Set a namespace's quota."""
    if running != "none" and not running.isdigit():
        raise Failure(f"--running: {running!r} is neither a number nor none", code=USAGE)
    quota: dict[str, Any] = {} if running == "none" else {"running": int(running)}
    document = {
        "apiVersion": "rouse.dev/v1alpha1",
        "kind": "Namespace",
        "metadata": {"name": name},
        "spec": {"quota": quota},
    }
    show(options.client(admin_url).ask("POST", _PATH, document), output, COLUMNS)


@app.command("get")
def get(name: NamespaceName, output: Output = Format.TABLE, admin_url: AdminUrl = None) -> None:
    """Show a namespace's quota, and how many of its actors run."""
    path = f"{_PATH}/{segment(name)}"
    show(options.client(admin_url).ask("GET", path), output, COLUMNS)


@app.command("list")
def list_namespaces(output: Output = Format.TABLE, admin_url: AdminUrl = None) -> None:
    """List the namespaces that have a quota."""
    show(options.client(admin_url).ask("GET", _PATH), output, COLUMNS)


def _read(file: str) -> list[object]:
    from lifecycle import documents
    from lifecycle.strict import NotUnderstood

    try:
        text = typer.get_binary_stream("stdin").read() if file == "-" else Path(file).read_bytes()
        found = documents.read_all(text)
        for document in found:
            documents.parse_namespace(document)
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error
    except NotUnderstood as error:
        raise Failure(f"{file}: {error}") from error
    if not found:
        raise Failure(f"{file}: there is no document in it")
    return found
