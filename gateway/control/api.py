"""The admin application: API, OpenAPI, metrics and health behind one guard."""

from collections.abc import Callable

import msgspec
from aiohttp import web

from gateway.actor_tokens import ActorTokens
from gateway.control import openapi
from gateway.control.faults import answer_faults
from gateway.control.guard import Guard
from gateway.control.health import Health
from gateway.control.routes import Api, add_routes
from lifecycle.actions import Actions
from lifecycle.namespace_actions import NamespaceActions
from lifecycle.template_actions import TemplateActions

_LARGEST_BODY = 512 * 1024
_INDEX = """rouse: HTTP proxies that wake actors on request

/v1/actors      actors, and under /v1/namespaces/... what can be done with them
/v1/templates   templates
/v1/namespaces  quotas
/v1/workers     workers
/openapi.json   all of it, described
/metrics        for Prometheus
/healthz        /readyz

`rouse --help` says the same at a terminal.
"""


def make_app(
    actions: Actions,
    templates: TemplateActions,
    namespaces: NamespaceActions,
    *,
    guard: Guard,
    health: Health,
    metrics: Callable[[], bytes],
    tokens: Callable[[], ActorTokens] | None = None,
) -> web.Application:
    """Serve it with `web.AppRunner(app, access_log=None)`: writes are logged here. Without
    `tokens` none are minted here."""
    app = web.Application(
        middlewares=[answer_faults, guard.middleware()], client_max_size=_LARGEST_BODY
    )
    add_routes(app, Api(actions, templates, namespaces, tokens))
    add_pages(app, health=health, metrics=metrics)
    described = msgspec.json.encode(openapi.document())

    async def describe(_request: web.Request) -> web.Response:
        return web.Response(body=described, content_type="application/json")

    async def index(_request: web.Request) -> web.Response:
        return web.Response(text=_INDEX)

    app.router.add_get("/openapi.json", describe)
    app.router.add_get("/", index)
    return app


def make_probe_app(
    *, guard: Guard, health: Health, metrics: Callable[[], bytes]
) -> web.Application:
    """For a process that answers probes and metrics only (a further edge process)."""
    app = web.Application(middlewares=[answer_faults, guard.middleware()])
    add_pages(app, health=health, metrics=metrics)
    return app


def add_pages(app: web.Application, *, health: Health, metrics: Callable[[], bytes]) -> None:
    async def measured(_request: web.Request) -> web.Response:
        # The text format's own type; aiohttp's content_type argument takes no parameters.
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=metrics(), headers=headers)

    app.router.add_get("/healthz", health.healthz)
    app.router.add_get("/readyz", health.readyz)
    app.router.add_get("/metrics", measured)
