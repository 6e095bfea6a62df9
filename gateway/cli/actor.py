"""`rouse actor`: create, get, list, wake, suspend, fork, delete, logs, policy, token."""

from typing import Annotated, Any

import typer

from gateway.cli import options
from gateway.cli.client import segment
from gateway.cli.failures import USAGE, Failure
from gateway.cli.options import AdminUrl, AnyNamespace, Name, Namespace, Output
from gateway.cli.output import Format, done, show

app = typer.Typer(help="Actors: make them, see them, wake and suspend them.", no_args_is_help=True)

COLUMNS = ("namespace", "name", "state", "epoch", "worker", "snapshot", "template", "reason")
ONE = (
    *COLUMNS[:-1],
    "residence.state",
    "residence.pid",
    "residence.tickets",
    "residence.chosen",
    "reason",
)
PATIENCE_S = 120.0
"""For a snapshot to be written, beside what was asked to be waited for."""
REBUILD_S = 3600.0
"""Every actor's newest manifest is read."""

Names = Annotated[
    list[str], typer.Argument(help="NAME, or NAMESPACE/NAME; any number.", show_default=False)
]
Wait = Annotated[str, typer.Option("--wait", help="How long to wait, as 30s or 2m.")]


@app.command("create")
def create(
    names: Names,
    template: Annotated[str, typer.Option("-t", "--template", help="A template of its namespace.")],
    namespace: Namespace = None,
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Make actors; each starts with its first request."""
    if len(names) > 1:
        return _create_many(names, template, namespace, output, admin_url)
    space, own = options.qualified(names[0], namespace)
    path = f"/v1/namespaces/{segment(space)}/actors"
    answer = options.client(admin_url).ask("POST", path, {"name": own, "template": template})
    show(answer, output, COLUMNS)


@app.command("get")
def get(
    name: Name,
    namespace: Namespace = None,
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Show an actor, and how it is on its worker now."""
    answer = options.client(admin_url).ask("GET", options.path_of("actors", name, namespace))
    show(answer, output, ONE)


@app.command("list")
def list_actors(
    namespace: AnyNamespace = None,
    state: Annotated[str | None, typer.Option(help="Only in this state, as RUNNING.")] = None,
    template: Annotated[str | None, typer.Option("-t", help="Only of this template.")] = None,
    worker: Annotated[str | None, typer.Option(help="Only on this worker.")] = None,
    idle: Annotated[str | None, typer.Option(help="Only without activity for this long.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most this many; else all.")] = None,
    cursor: Annotated[str | None, typer.Option(help="Go on after the page before.")] = None,
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """List actors, of all namespaces unless told."""
    query: dict[str, Any] = {"namespace": namespace, "template": template, "worker": worker}
    query |= {"state": state.upper() if state else None, "idle": idle}
    asker = options.client(admin_url)
    answer = options.page_through(asker, "/v1/actors", query, cursor=cursor, limit=limit)
    show(answer, output, COLUMNS)
    if output is Format.TABLE and "next" in answer:
        typer.echo(f"more: --cursor {answer['next']}", err=True)


@app.command("wake")
def wake(
    name: Name,
    wait: Wait = "30s",
    namespace: Namespace = None,
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Wake an actor and wait until it is ready."""
    patience_s = options.seconds(wait, "--wait") + 10
    path = options.path_of("actors", name, namespace, "/wake")
    answer = options.client(admin_url).ask("POST", path, {"wait": wait}, patience_s=patience_s)
    show(answer, output, (*COLUMNS[:-1], "wake.phases.total"))


@app.command("suspend")
def suspend(
    name: Name,
    wait: Wait = "0s",
    force: Annotated[bool, typer.Option("--force", help="Cut what is still open then.")] = False,
    namespace: Namespace = None,
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Snapshot an actor and free its slot; refused while requests are open."""
    patience_s = options.seconds(wait, "--wait") + PATIENCE_S
    path = options.path_of("actors", name, namespace, "/suspend")
    body = {"wait": wait, "force": force}
    answer = options.client(admin_url).ask("POST", path, body, patience_s=patience_s)
    show(answer, output, COLUMNS)


@app.command("fork")
def fork(
    source: Annotated[str, typer.Argument(metavar="SRC", help="NAME, or NAMESPACE/NAME.")],
    to: Annotated[str, typer.Argument(metavar="DST", help="The new actor's name.")],
    namespace: Namespace = None,
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Make a new actor that wakes as another one is now; a running one runs on."""
    space, own = options.qualified(source, namespace)
    to_space, to_own = options.qualified(to, None if "/" in to else space)
    path = f"/v1/namespaces/{segment(space)}/actors/{segment(own)}/fork"
    body = {"name": to_own, "namespace": to_space}
    answer = options.client(admin_url).ask("POST", path, body, patience_s=PATIENCE_S)
    show(answer, output, COLUMNS)


@app.command("delete")
def delete(
    names: Names,
    namespace: Namespace = None,
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Delete actors and their snapshots; what runs is cut."""
    if len(names) > 1:
        return _delete_many(names, namespace, output, admin_url)
    name = names[0]
    path = options.path_of("actors", name, namespace)
    options.client(admin_url).ask("DELETE", path, patience_s=PATIENCE_S)
    space, own = options.qualified(name, namespace)
    facts = {"namespace": space, "name": own, "deleted": True}
    done(f"actor {space}/{own} deleted", output, facts)


@app.command("rebuild")
def rebuild(
    namespace: AnyNamespace = None, output: Output = Format.TABLE, admin_url: AdminUrl = None
) -> None:
    """After Redis lost all: make the records of actors anew from their stored snapshots."""
    answer = options.client(admin_url).ask(
        "POST", "/v1/actors/rebuild", query={"namespace": namespace}, patience_s=REBUILD_S
    )
    show(answer, output, ("rebuilt", "present", "older", "unreadable"))


def _create_many(
    names: list[str], template: str, namespace: str | None, output: Format, admin_url: str | None
) -> None:
    by_space: dict[str, list[str]] = {}
    for space, own in (options.qualified(name, namespace) for name in names):
        by_space.setdefault(space, []).append(own)
    asker, items = options.client(admin_url), []
    for space, owns in by_space.items():
        for part in options.parts(owns):
            body = {"namespace": space, "template": template, "names": part}
            items += asker.ask("POST", "/v1/actors/create", body, patience_s=PATIENCE_S)["items"]
    _show_ended(items, output)


def _delete_many(
    names: list[str], namespace: str | None, output: Format, admin_url: str | None
) -> None:
    actors = ["/".join(options.qualified(name, namespace)) for name in names]
    asker, items = options.client(admin_url), []
    for part in options.parts(actors):
        answer = asker.ask("POST", "/v1/actors/delete", {"actors": part}, patience_s=PATIENCE_S)
        items += answer["items"]
    _show_ended(items, output)


def _show_ended(items: list[dict[str, Any]], output: Format) -> None:
    show({"items": items}, output, ("namespace", "name", "result", "message"))
    failed = sum(1 for each in items if each["result"] == "failed")
    if failed:
        raise Failure(f"{failed} of {len(items)} failed")


@app.command("logs")
def logs(
    name: Name,
    tail: Annotated[int, typer.Option("--tail", help="Lines from the end.")] = 200,
    namespace: Namespace = None,
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """The end of what an actor wrote to stdout and stderr."""
    path = options.path_of("actors", name, namespace, "/logs")
    text = options.client(admin_url).ask("GET", path, query={"tail": tail}) or ""
    if output is Format.TABLE:
        typer.echo(text, nl=False)
    else:
        show({"lines": text.splitlines()}, output, ())


@app.command("token")
def token(
    name: Name,
    expires: Annotated[str, typer.Option("--expires", help="As 30m, 1h, 168h.")] = "1h",
    namespace: Namespace = None,
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Sign a token that opens this actor at the edge, whether it exists yet or not."""
    options.seconds(expires, "--expires")
    path = options.path_of("actors", name, namespace, "/token")
    answer = options.client(admin_url).ask("POST", path, {"expires": expires})
    if output is Format.TABLE:
        typer.echo(answer["token"])  # alone, for $(...)
    else:
        show(answer, output, ())


@app.command("policy")
def policy(
    name: Name,
    freeze_after: Annotated[
        str | None, typer.Option("--freeze-after", help="As 5s, or never.")
    ] = None,
    suspend_after: Annotated[
        str | None, typer.Option("--suspend-after", help="As 60s, or never.")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="As its template says again.")] = False,
    namespace: Namespace = None,
    output: Output = Format.TABLE,
    admin_url: AdminUrl = None,
) -> None:
    """Give one actor idle times of its own; what is not given is its template's."""
    given = {"freezeAfter": freeze_after, "suspendAfter": suspend_after}
    idle = {field: value for field, value in given.items() if value is not None}
    if clear == bool(idle):
        raise Failure("give --freeze-after or --suspend-after, or --clear", code=USAGE)
    path = options.path_of("actors", name, namespace, "/policy")
    answer = options.client(admin_url).ask("PUT", path, {"idle": idle} if idle else {})
    show(answer, output, (*COLUMNS[:2], "state", "template", "policy.idle"))
