"""The document describes every route that is served, and only those."""

import json
import re

from gateway.control import openapi
from gateway.control.routes import ROUTES
from tests.gateway.control.serving import Admin


async def test_every_route_is_described_and_served(admin: Admin) -> None:
    served = await admin.ask("GET", "/openapi.json")
    described = {
        (method.upper(), path) for path, item in served["paths"].items() for method in item
    }
    assert described == {(route.method, route.path) for route in ROUTES}
    for method, path in described:
        real = re.sub(r"\{\w+\}", "some", path)
        async with admin.session.request(method, admin.url + real, json={}) as answer:
            text = await answer.text()
            assert "no-route" not in text and "no-method" not in text, (method, path)


def test_every_reference_leads_somewhere() -> None:
    document = openapi.document()
    text = json.dumps(document)
    schemas = document["components"]["schemas"]
    referenced = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert referenced and referenced <= set(schemas)


def test_operations_have_names_of_their_own_and_their_parameters() -> None:
    document = openapi.document()
    operations = [each for item in document["paths"].values() for each in item.values()]
    names = [each["operationId"] for each in operations]
    assert len(set(names)) == len(names) == len(ROUTES)
    listing = document["paths"]["/v1/actors"]["get"]
    assert {each["name"] for each in listing["parameters"]} == {
        "namespace",
        "state",
        "template",
        "worker",
        "idle",
        "cursor",
        "limit",
    }
    wake = document["paths"]["/v1/namespaces/{ns}/actors/{name}/wake"]["post"]
    assert [each["name"] for each in wake["parameters"]] == ["ns", "name"]
    assert wake["requestBody"]["content"]["application/json"]["schema"]
