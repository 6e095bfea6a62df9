"""`rouse template`: apply, list, get, delete."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli import options
from gateway.cli.client import Client
from gateway.cli.failures import Failure
from gateway.cli.options import AdminUrl, AnyNamespace, Name, Namespace, Output
from gateway.cli.output import Format, done, show

app = typer.Typer(help="Templates: how actors of a kind are run.", no_args_is_help=True)

COLUMNS = ("namespace", "name", "runtime", "command", "digest")


@app.command("apply")
def apply(
    file: Annotated[str, typer.Option("-f", "--file", help="YAML or JSON; - is stdin.")],
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Create or change the templates of a file; every one is read before the first is sent."""
    documents = _read(file)
    asker = options.client(admin_url)
    applied = [_send(asker, file, document) for document in documents]
    if output is not Format.TABLE:
        show(applied[0] if len(applied) == 1 else {"items": applied}, output, ())
        return
    for each in applied:
        typer.echo(f"template {each['namespace']}/{each['name']} {each['applied']}")


@app.command("list")
def list_templates(
    namespace: AnyNamespace = None, output: Output = Format.TABLE, admin_url: AdminUrl = None
) -> None:
    """List templates, of all namespaces unless told."""
    answer = options.client(admin_url).ask("GET", "/v1/templates", query={"namespace": namespace})
    if output is Format.TABLE:
        answer = {"items": [_line(each) for each in answer["items"]]}
    show(answer, output, COLUMNS)


@app.command("get")
def get(
    name: Name,
    namespace: Namespace = None,
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Show a template; -o yaml shows the document, fit to be applied again."""
    path = options.path_of("templates", name, namespace)
    answer = options.client(admin_url).ask("GET", path)
    if output is Format.YAML:
        show(answer["document"], output, ())
    elif output is Format.JSON:
        show(answer, output, ())
    else:
        show(_line(answer), output, COLUMNS)


@app.command("delete")
def delete(
    name: Name,
    force: Annotated[bool, typer.Option("--force", help="Though actors are of it.")] = False,
    namespace: Namespace = None,
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Delete a template that no actor is of."""
    path = options.path_of("templates", name, namespace)
    options.client(admin_url).ask("DELETE", path, query={"force": force or None})
    space, own = options.qualified(name, namespace)
    facts = {"namespace": space, "name": own, "deleted": True}
    done(f"template {space}/{own} deleted", output, facts)


def _read(file: str) -> list[object]:
    """The file's documents, with workingDir made absolute: the server knows no file."""
    from lifecycle import documents
    from lifecycle.strict import NotUnderstood

    try:
        text = typer.get_binary_stream("stdin").read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise Failure(f"{file}: {error.strerror}") from error
    base = Path.cwd() if file == "-" else Path(file).absolute().parent
    try:
        found = [documents.with_absolute_dir(each, base) for each in documents.read_all(text)]
        for index, document in enumerate(found):
            try:
                documents.parse_template(document)
            except NotUnderstood as error:
                where = f"document {index + 1}: " if len(found) > 1 else ""
                raise Failure(f"{file}: {where}{error}") from error
    except NotUnderstood as error:
        raise Failure(f"{file}: {error}") from error
    if not found:
        raise Failure(f"{file}: there is no document in it")
    return found


def _send(asker: Client, file: str, document: object) -> Any:  # JSON of the API
    try:
        return asker.ask("POST", "/v1/templates", document)
    except Failure as failure:
        raise Failure(f"{file}: {failure}", code=failure.code) from failure


def _line(template: dict[str, Any]) -> dict[str, Any]:
    """What of a template fits a line."""
    spec = template["document"]["spec"]
    return {
        **template,
        "runtime": spec.get("runtime", {}).get("class", "auto"),
        "command": " ".join(spec["command"])[:60],
        "digest": template["digest"][:12],
    }
