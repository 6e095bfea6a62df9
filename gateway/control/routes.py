"""The routes under /v1: what each takes, does and gives. The actions themselves are lifecycle's."""

import functools
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from gateway.actor_tokens import ActorTokens
from gateway.control import resources as r
from gateway.control.faults import REQUEST_ID, Refusal
from lifecycle import bulk, documents
from lifecycle.actions import Actions, ListFilter
from lifecycle.forms import NamespaceDocument, PolicyDocument, TemplateDocument
from lifecycle.namespace_actions import NamespaceActions
from lifecycle.quantities import Duration
from lifecycle.strict import NotUnderstood, convert
from lifecycle.template_actions import TemplateActions
from placement.model import ActorId, check_label

LONGEST_WAIT_S = 3600.0
LONGEST_TOKEN_S = 366 * 86_400.0
"""A token cannot be called back but by changing the key, which calls back all."""
MOST_LISTED = 1000
MOST_LINES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, read and checked by its route."""

    path: dict[str, str]
    query: object
    body: object
    request_id: str

    @property
    def actor(self) -> ActorId:
        return ActorId.of(self.path["ns"], self.path["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    method: str
    path: str
    summary: str
    handler: Callable[["Api", Call], Awaitable[msgspec.Struct | bytes | None]]
    """None is 204; bytes are text."""
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    is_document: bool = False
    """The body is handed on as builtins, for `documents` to read; YAML is taken too."""
    answer: type[msgspec.Struct] | None = None
    status: int = 200

    @property
    def operation(self) -> str:
        return self.handler.__name__


class Api:
    def __init__(
        self,
        actions: Actions,
        templates: TemplateActions,
        namespaces: NamespaceActions,
        tokens: Callable[[], ActorTokens] | None = None,
    ) -> None:
        self._actions = actions
        self._templates = templates
        self._namespaces = namespaces
        self._tokens = tokens

    # Templates ------------------------------------------------------------------------------

    async def apply_template(self, call: Call) -> r.Template:
        outcome = await self._templates.apply(call.body)
        return r.Template.of(outcome.template, outcome.applied.value)

    async def list_templates(self, call: Call) -> r.Templates:
        assert isinstance(call.query, r.ListTemplates)
        found = await self._templates.list(_namespace(call.query.namespace))
        return r.Templates(items=[r.Template.of(record) for record in found])

    async def get_template(self, call: Call) -> r.Template:
        key = call.actor  # named alike: two labels
        return r.Template.of(await self._templates.get(key.namespace, key.name))

    async def delete_template(self, call: Call) -> None:
        assert isinstance(call.query, r.DeleteTemplate)
        key = call.actor
        await self._templates.delete(key.namespace, key.name, force=call.query.force)

    # Actors ---------------------------------------------------------------------------------

    async def list_actors(self, call: Call) -> r.Actors:
        query = call.query
        assert isinstance(query, r.ListActors)
        if not 1 <= query.limit <= MOST_LISTED:
            raise NotUnderstood("limit", f"{query.limit} is not between 1 and {MOST_LISTED}")
        if query.cursor is not None:
            ActorId.parse(query.cursor)
        wanted = ListFilter(
            namespace=_namespace(query.namespace),
            state=query.state,
            template=query.template,
            worker=query.worker,
            active_before_ms=_before_ms(query.idle),
        )
        found, following = await self._actions.list(wanted, cursor=query.cursor, limit=query.limit)
        return r.Actors(items=[r.Actor.of(record) for record in found], next=following)

    async def create_actor(self, call: Call) -> r.Actor:
        assert isinstance(call.body, r.CreateActor)
        actor = ActorId.of(call.path["ns"], call.body.name)
        template = check_label(call.body.template, "template")
        return r.Actor.of(await self._actions.create(actor, template))

    async def create_actors(self, call: Call) -> r.AllEnded:
        asked = call.body
        assert isinstance(asked, r.CreateActors)
        template = check_label(asked.template, "template")
        actors = _many([ActorId.of(asked.namespace, name) for name in asked.names], "names")
        ended = await bulk.create(self._actions, actors, template)
        return r.AllEnded(items=[r.Ended.of(each) for each in ended])

    async def delete_actors(self, call: Call) -> r.AllEnded:
        asked = call.body
        assert isinstance(asked, r.DeleteActors)
        actors = _many([ActorId.parse(each) for each in asked.actors], "actors")
        ended = await bulk.delete(self._actions, actors)
        return r.AllEnded(items=[r.Ended.of(each) for each in ended])

    async def rebuild_actors(self, call: Call) -> r.Rebuilt:
        assert isinstance(call.query, r.Rebuild)
        done = await self._actions.rebuild(_namespace(call.query.namespace))
        return r.Rebuilt.of(done)

    async def get_actor(self, call: Call) -> r.Actor:
        record, resident = await self._actions.look(call.actor)
        return r.Actor.of(record, resident=resident)

    async def delete_actor(self, call: Call) -> None:
        await self._actions.delete(call.actor)

    async def wake_actor(self, call: Call) -> r.Actor:
        assert isinstance(call.body, r.Wake)
        wait_s = _wait_s(call.body.wait)
        record, here = await self._actions.wake(
            call.actor, wait_s=wait_s, request_id=call.request_id
        )
        return r.Actor.of(record, here=here)

    async def fork_actor(self, call: Call) -> r.Actor:
        assert isinstance(call.body, r.Fork)
        to = ActorId.of(call.body.namespace or call.path["ns"], call.body.name)
        return r.Actor.of(await self._actions.fork(call.actor, to))

    async def suspend_actor(self, call: Call) -> r.Actor:
        assert isinstance(call.body, r.Suspend)
        record = await self._actions.suspend(
            call.actor, wait_s=_wait_s(call.body.wait), force=call.body.force
        )
        return r.Actor.of(record)

    async def actor_logs(self, call: Call) -> bytes:
        assert isinstance(call.query, r.Logs)
        if not 0 <= call.query.tail <= MOST_LINES:
            raise NotUnderstood("tail", f"{call.query.tail} is not between 0 and {MOST_LINES}")
        return await self._actions.logs(call.actor, tail_lines=call.query.tail)

    async def set_actor_policy(self, call: Call) -> r.Actor:
        return r.Actor.of(await self._actions.set_policy(call.actor, call.body))

    async def mint_token(self, call: Call) -> r.ActorToken:
        """For an actor that need not exist: the first request may be what creates it."""
        assert isinstance(call.body, r.MintToken)
        lasts = call.body.expires
        if lasts.finite is None or not 1.0 <= lasts <= LONGEST_TOKEN_S:
            raise NotUnderstood(
                "expires", f"{lasts} is not between 1s and {Duration(LONGEST_TOKEN_S)}"
            )
        if self._tokens is None:
            raise Refusal(409, "no-token-key", "this process shares no key with gateways: ask one")
        expires = int(time.time() + lasts)
        return r.ActorToken.of(
            call.actor, self._tokens().mint(call.actor, expires=expires), expires
        )

    # Namespaces -----------------------------------------------------------------------------

    async def apply_namespace(self, call: Call) -> r.Namespace:
        return r.Namespace.of(await self._namespaces.apply(call.body))

    async def get_namespace(self, call: Call) -> r.Namespace:
        return r.Namespace.of(await self._namespaces.get(check_label(call.path["ns"], "namespace")))

    async def list_namespaces(self, call: Call) -> r.Namespaces:
        found = await self._namespaces.list()
        return r.Namespaces(items=[r.Namespace.of(each) for each in found])

    # Workers --------------------------------------------------------------------------------

    async def list_workers(self, call: Call) -> r.Workers:
        return r.Workers(items=[r.Worker.of(record) for record in await self._actions.workers()])

    async def drain_worker(self, call: Call) -> r.Drained:
        worker = check_label(call.path["id"], "worker")
        await self._actions.drain(worker)
        return r.Drained(id=worker, drained=True)


_TEMPLATE = "/v1/namespaces/{ns}/templates/{name}"
_ACTORS = "/v1/namespaces/{ns}/actors"
_ACTOR = _ACTORS + "/{name}"

# fmt: off
ROUTES: tuple[Route, ...] = (
    Route(method="POST", path="/v1/templates", summary="Create or change a template",
          handler=Api.apply_template, body=TemplateDocument, is_document=True, answer=r.Template),
    Route(method="GET", path="/v1/templates", summary="List templates",
          handler=Api.list_templates, query=r.ListTemplates, answer=r.Templates),
    Route(method="GET", path=_TEMPLATE, summary="One template",
          handler=Api.get_template, answer=r.Template),
    Route(method="DELETE", path=_TEMPLATE, summary="Delete a template that no actor is of",
          handler=Api.delete_template, query=r.DeleteTemplate, status=204),
    Route(method="GET", path="/v1/actors", summary="List actors in order of namespace and name",
          handler=Api.list_actors, query=r.ListActors, answer=r.Actors),
    Route(method="POST", path=_ACTORS, summary="Create an actor, suspended",
          handler=Api.create_actor, body=r.CreateActor, answer=r.Actor, status=201),
    Route(method="POST", path="/v1/actors/create", summary="Create up to 1000 actors, suspended",
          handler=Api.create_actors, body=r.CreateActors, answer=r.AllEnded),
    Route(method="POST", path="/v1/actors/delete", summary="Delete up to 1000 actors",
          handler=Api.delete_actors, body=r.DeleteActors, answer=r.AllEnded),
    Route(method="POST", path="/v1/actors/rebuild",
          summary="Make records anew that a lost table had, from the snapshots that are stored",
          handler=Api.rebuild_actors, query=r.Rebuild, answer=r.Rebuilt),
    Route(method="GET", path=_ACTOR, summary="One actor, and how it is on its worker now",
          handler=Api.get_actor, answer=r.Actor),
    Route(method="DELETE", path=_ACTOR, summary="Delete an actor and its snapshots",
          handler=Api.delete_actor, status=204),
    Route(method="POST", path=_ACTOR + "/wake", summary="Wake an actor and wait for it",
          handler=Api.wake_actor, body=r.Wake, answer=r.Actor),
    Route(method="POST", path=_ACTOR + "/fork", summary="A new actor from this one's state",
          handler=Api.fork_actor, body=r.Fork, answer=r.Actor, status=201),
    Route(method="POST", path=_ACTOR + "/suspend", summary="Snapshot an actor, free its slot",
          handler=Api.suspend_actor, body=r.Suspend, answer=r.Actor),
    Route(method="GET", path=_ACTOR + "/logs", summary="The end of an actor's output, as text",
          handler=Api.actor_logs, query=r.Logs),
    Route(method="PUT", path=_ACTOR + "/policy", summary="What this actor has unlike its template",
          handler=Api.set_actor_policy, body=PolicyDocument, is_document=True, answer=r.Actor),
    Route(method="POST", path=_ACTOR + "/token", summary="Sign a token that opens this actor",
          handler=Api.mint_token, body=r.MintToken, answer=r.ActorToken),
    Route(method="POST", path="/v1/namespaces", summary="Set a namespace's quota",
          handler=Api.apply_namespace, body=NamespaceDocument, is_document=True,
          answer=r.Namespace),
    Route(method="GET", path="/v1/namespaces", summary="List namespaces that have a quota",
          handler=Api.list_namespaces, answer=r.Namespaces),
    Route(method="GET", path="/v1/namespaces/{ns}", summary="A namespace's quota and its use",
          handler=Api.get_namespace, answer=r.Namespace),
    Route(method="GET", path="/v1/workers", summary="List workers whose lease lives",
          handler=Api.list_workers, answer=r.Workers),
    Route(method="POST", path="/v1/workers/{id}/drain", summary="Suspend all actors of a worker",
          handler=Api.drain_worker, answer=r.Drained),
)
# fmt: on


def add_routes(app: web.Application, api: Api) -> None:
    for route in ROUTES:
        app.router.add_route(route.method, route.path, functools.partial(_serve, api, route))


async def _serve(api: Api, route: Route, request: web.Request) -> web.Response:
    call = Call(
        path=dict(request.match_info),
        query=_query(route, request),
        body=await _body(route, request),
        request_id=request[REQUEST_ID],
    )
    answer = await route.handler(api, call)
    if answer is None:
        return web.Response(status=204)
    if isinstance(answer, bytes):
        # Text of an actor: never to be taken for a page of ours.
        return web.Response(body=answer, content_type="text/plain", charset="utf-8")
    body = msgspec.json.encode(answer)
    return web.Response(body=body, status=route.status, content_type="application/json")


def _query(route: Route, request: web.Request) -> object:
    given: dict[str, str] = {}
    for name, value in request.query.items():
        if name in given:
            raise NotUnderstood(name, "is given twice")
        given[name] = value
    if route.query is not None:
        return convert(given, route.query, from_text=True)
    if given:
        raise NotUnderstood(next(iter(given)), "unknown parameter; none is known here")
    return None


async def _body(route: Route, request: web.Request) -> Any:  # builtins or a route's struct
    text = await request.read()
    if route.body is None:
        return None
    if len(text) > documents.LARGEST_BYTES:
        raise Refusal(413, "too-large", f"a body may have {documents.LARGEST_BYTES} bytes at most")
    if request.content_type == "application/yaml" and route.is_document:
        given = documents.read_all(text)
        if len(given) != 1:
            raise NotUnderstood("", f"{len(given)} documents: send one at a time")
        return given[0]
    try:
        builtins = msgspec.json.decode(text or b"{}")
    except msgspec.DecodeError as error:
        raise NotUnderstood("", f"the body is not JSON: {error}") from error
    return builtins if route.is_document else convert(builtins, route.body)


def _namespace(given: str | None) -> str | None:
    return None if given is None else check_label(given, "namespace")


def _before_ms(idle: Duration | None) -> int | None:
    if idle is None:
        return None
    if idle.finite is None:
        raise NotUnderstood("idle", "never is no time to have been idle")
    return int((time.time() - idle.finite) * 1000)


def _many(actors: list[ActorId], what: str) -> list[ActorId]:
    if not 1 <= len(actors) <= bulk.MOST:
        raise NotUnderstood(what, f"{len(actors)} is not between 1 and {bulk.MOST}")
    if len(set(actors)) < len(actors):
        raise NotUnderstood(what, "one of them is there twice")
    return actors


def _wait_s(wait: Duration) -> float:
    if wait > LONGEST_WAIT_S:
        raise NotUnderstood("wait", f"{wait} is more than {Duration(LONGEST_WAIT_S)}")
    return float(wait)
