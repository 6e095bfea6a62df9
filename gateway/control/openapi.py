"""The OpenAPI document, made from the route table and the records that the routes use."""

import re
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from gateway.control.resources import FaultAnswer
from gateway.control.routes import ROUTES, Route
from lifecycle.forms import schema_components

Tree = dict[str, Any]
"""JSON: an OpenAPI document is a tree of whatever JSON has."""

_PARAMETER = re.compile(r"\{(\w+)\}")
_TEXT: Tree = {"text/plain": {"schema": {"type": "string"}}}


def document() -> Tree:
    kinds = {
        kind
        for route in ROUTES
        for kind in (route.query, route.body, route.answer, FaultAnswer)
        if kind is not None
    }
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    references, components = schema_components(*ordered)
    schemas = dict(zip(ordered, references, strict=True))
    paths: Tree = {}
    for route in ROUTES:
        operations = paths.setdefault(route.path, {})
        operations[route.method.lower()] = _operation(route, schemas, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "rouse control API", "version": _version()},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"sharedKey": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"sharedKey": []}],
    }


def _operation(route: Route, schemas: dict[type[msgspec.Struct], Tree], components: Tree) -> Tree:
    made: Tree = {
        "operationId": route.operation,
        "summary": route.summary,
        "parameters": _parameters(route, components),
        "responses": {
            str(route.status): _answer(route, schemas),
            "default": {
                "description": "Refused or failed",
                "content": {"application/json": {"schema": schemas[FaultAnswer]}},
            },
        },
    }
    if route.body is not None:
        types = ("application/json", *(["application/yaml"] if route.is_document else []))
        content = {kind: {"schema": schemas[route.body]} for kind in types}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _answer(route: Route, schemas: dict[type[msgspec.Struct], Tree]) -> Tree:
    if route.answer is not None:
        content: Tree = {"application/json": {"schema": schemas[route.answer]}}
        return {"description": "Done", "content": content}
    if route.status == 204:
        return {"description": "Done"}
    return {"description": "Text", "content": _TEXT}


def _parameters(route: Route, components: Tree) -> list[Tree]:
    found: list[Tree] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]
    if route.query is not None:
        for name, schema in components[route.query.__name__]["properties"].items():
            found.append({"name": name, "in": "query", "required": False, "schema": schema})
    return found


def _version() -> str:
    try:
        return version("rouse-gateway")
    except PackageNotFoundError:
        return "0"
