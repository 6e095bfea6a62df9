"""Options that every client command has, and what they make: a client and a name in a namespace."""

import os
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from gateway.cli.client import Client, find, segment
from gateway.cli.failures import USAGE, Failure
from gateway.cli.output import Format

DEFAULT_NAMESPACE = "default"
PAGE = 500
MOST = 1000
"""As lifecycle.bulk has it, which costs a command 50 ms to import."""

Output = Annotated[Format, typer.Option("-o", "--output", help="How the answer is written.")]
AdminUrl = Annotated[
    str | None,
    typer.Option(
        "--admin-url",
        help="http://host:port or unix:/path of the admin API; else ROUSE_ADMIN_URL, else the "
        "running `rouse up`. The key, where one is wanted, is in ROUSE_ADMIN_KEY.",
    ),
]
Namespace = Annotated[
    str | None, typer.Option("-n", "--namespace", help=f"Namespace ({DEFAULT_NAMESPACE}).")
]
AnyNamespace = Annotated[str | None, typer.Option("-n", "--namespace", help="Only this namespace.")]
Name = Annotated[str, typer.Argument(help="NAME, or NAMESPACE/NAME.", show_default=False)]


def client(admin_url: str | None) -> Client:
    return Client(find(admin_url, os.environ), os.environ.get("ROUSE_ADMIN_KEY"))


def qualified(name: str, namespace: str | None) -> tuple[str, str]:
    """(namespace, name) of `name` or `namespace/name`."""
    before, slash, after = name.partition("/")
    if not slash:
        return namespace or DEFAULT_NAMESPACE, name
    if namespace is not None and namespace != before:
        raise Failure(f"{name} is not in namespace {namespace}: leave -n out", code=USAGE)
    return before, after


def path_of(kind: str, name: str, namespace: str | None, action: str = "") -> str:
    """`/v1/namespaces/demo/actors/c1/wake`."""
    space, own = qualified(name, namespace)
    return f"/v1/namespaces/{segment(space)}/{kind}/{segment(own)}{action}"


def seconds(text: str, option: str) -> float:
    """A duration of the command line, checked here so that a wrong one costs no call."""
    from lifecycle.quantities import Duration

    try:
        duration = Duration.parse(text)
    except ValueError as error:
        raise Failure(f"{option}: {error}", code=USAGE) from error
    if duration.finite is None:
        raise Failure(f"{option}: waiting has an end; write 1h at most", code=USAGE)
    return duration.finite


def page_through(
    asker: Client,
    path: str,
    query: dict[str, Any],
    *,
    cursor: str | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """The pages of a list as one: all from `cursor` on, or the first `limit`."""
    items: list[Any] = []
    while True:
        size = PAGE if limit is None else min(PAGE, limit - len(items))
        page = asker.ask("GET", path, query={**query, "cursor": cursor, "limit": size})
        items += page["items"]
        cursor = page["next"]
        if cursor is None or (limit is not None and len(items) >= limit):
            return {"items": items} | ({} if cursor is None else {"next": cursor})


def parts(names: list[str]) -> Iterator[list[str]]:
    """As many at a time as one call takes."""
    for begin in range(0, len(names), MOST):
        yield names[begin : begin + MOST]
