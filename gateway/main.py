"""The command `rouse`: the roles that serve, beside the commands of gateway.cli that ask.

A role reads its settings, and only then loads what it runs: `rouse actor list` must not wait for
an event loop, an HTTP server and a cloud SDK to be imported.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.cli import worker
from gateway.cli.app import make_app, run
from gateway.cli.failures import USAGE, Failure

if TYPE_CHECKING:
    from gateway.settings import Role

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Settings as YAML; ROUSE_* variables go first.")
]
Check = Annotated[bool, typer.Option("--check", help="Check the settings and end.")]
Admin = Annotated[str | None, typer.Option("--admin", help="Admin API: host:port or unix:/path.")]
Data = Annotated[Path | None, typer.Option("--data", help="Data directory.")]
Listen = Annotated[str | None, typer.Option("--listen", help="Requests to actors: host:port.")]
Processes = Annotated[int | None, typer.Option("--processes", help="Edge processes.")]
RedisUrl = Annotated[
    str | None,
    typer.Option("--redis-url", help="redis://, rediss://, unix:// or redis+cluster://."),
]
Runtime = Annotated[
    str | None, typer.Option("--runtime", help="auto, process or bubblewrap.", metavar="CLASS")
]
Snapshots = Annotated[
    str | None, typer.Option("--snapshots", help="file:///path or s3://bucket/prefix.")
]
Slots = Annotated[int | None, typer.Option("--slots", help="Running actors at most.")]
WorkerId = Annotated[str | None, typer.Option("--id", help="This worker's id.")]


def up(
    demo: Annotated[bool, typer.Option("--demo", help="Begin with a short guided tour.")] = False,
    once: Annotated[bool, typer.Option("--once", help="With --demo: end after it.")] = False,
    listen: Listen = None,
    admin: Admin = None,
    data: Data = None,
    runtime: Runtime = None,
    redis_url: RedisUrl = None,
    snapshots: Snapshots = None,
    processes: Processes = None,
    slots: Slots = None,
    worker_id: WorkerId = None,
    config: ConfigFile = None,
    check: Check = False,
) -> None:
    """Everything in one process: gateway, worker, a private Redis, snapshots in a directory."""
    if once and not demo:
        raise Failure("--once ends after the tour: give --demo too", code=USAGE)
    given = {
        "edge.listen": listen,
        "edge.processes": processes,
        "admin.listen": admin,
        "data_dir": data,
        "worker.runtime": runtime,
        "worker.slots": slots,
        "worker.id": worker_id,
        "redis.url": redis_url,
        "snapshots.url": snapshots,
    }
    _serve("up", config, given, check=check, demo=demo, once=once)


def gateway(
    listen: Listen = None,
    admin: Admin = None,
    data: Data = None,
    redis_url: RedisUrl = None,
    snapshots: Snapshots = None,
    processes: Processes = None,
    config: ConfigFile = None,
    check: Check = False,
) -> None:
    """The entrance alone: finds or wakes actors on workers elsewhere."""
    given = {
        "edge.listen": listen,
        "edge.processes": processes,
        "admin.listen": admin,
        "data_dir": data,
        "redis.url": redis_url,
        "snapshots.url": snapshots,
    }
    _serve("gateway", config, given, check=check)


def worker_role(
    context: typer.Context,
    admin: Admin = None,
    data: Data = None,
    runtime: Runtime = None,
    redis_url: RedisUrl = None,
    snapshots: Snapshots = None,
    slots: Slots = None,
    worker_id: WorkerId = None,
    config: ConfigFile = None,
    check: Check = False,
) -> None:
    """Host actors on this machine; with list or drain, ask about workers."""
    if context.invoked_subcommand is not None:
        return
    given = {
        "admin.listen": admin,
        "data_dir": data,
        "worker.runtime": runtime,
        "worker.slots": slots,
        "worker.id": worker_id,
        "redis.url": redis_url,
        "snapshots.url": snapshots,
    }
    _serve("worker", config, given, check=check)


def controller() -> None:
    """Keep Kubernetes as the documents say."""
    raise Failure("the controller comes with Kubernetes: this version has none yet")


def _serve(
    role: "Role",
    config: Path | None,
    given: Mapping[str, object],
    *,
    check: bool,
    demo: bool = False,
    once: bool = False,
) -> None:
    from gateway.settings import BadSettings, load, summary

    try:
        settings = load(role, config, os.environ, given)
    except BadSettings as error:
        raise Failure(str(error), code=USAGE) from error
    if check:
        typer.echo(summary(settings))
        return
    from gateway import wiring

    if role == "up":
        raise typer.Exit(wiring.run_up(settings, demo=demo, once=once))
    raise typer.Exit(
        wiring.run_gateway(settings) if role == "gateway" else wiring.run_worker(settings)
    )


def command_line() -> typer.Typer:
    workers = worker.group()
    workers.callback(invoke_without_command=True)(worker_role)
    app = make_app(workers)
    app.command("up")(up)
    app.command("gateway")(gateway)
    app.command("controller")(controller)
    return app


def main(argv: Sequence[str]) -> int:
    return run(command_line(), argv)
