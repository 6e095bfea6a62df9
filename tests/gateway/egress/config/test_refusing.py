"""Every field that agentgateway knows and we do not do is refused by its name."""

import pytest

from gateway.egress.config import backend_forms, forms, policy_forms, refused
from gateway.egress.config.refusing import check
from lifecycle.strict import NotUnderstood

ROUTE = "binds[0].listeners[0].routes[0]"


def _route(**fields: object) -> dict[str, object]:
    return {"binds": [{"port": 1, "listeners": [{"routes": [fields]}]}]}


@pytest.mark.parametrize("name", ["policies", "routeGroups", "services", "workloads", "mcp", "ui"])
def test_top_level(name: str) -> None:
    with pytest.raises(NotUnderstood, match=f"^{name}: not supported by rouse$"):
        check({name: {}}, forms.DocumentForm)


@pytest.mark.parametrize("name", sorted(refused.REFUSED[policy_forms.PoliciesForm]))
def test_route_policies(name: str) -> None:
    with pytest.raises(NotUnderstood, match=rf"policies\.{name}: not supported by rouse$"):
        check(_route(policies={name: {}}), forms.DocumentForm)


@pytest.mark.parametrize("name", sorted(refused.REFUSED[policy_forms.BackendAuthForm]))
def test_kinds_of_backend_auth(name: str) -> None:
    with pytest.raises(NotUnderstood, match=rf"backendAuth\.{name}: not supported by rouse$"):
        check(_route(policies={"backendAuth": {name: {}}}), forms.DocumentForm)


@pytest.mark.parametrize("kind", sorted(refused.REFUSED[backend_forms.BackendForm]))
def test_kinds_of_backend(kind: str) -> None:
    with pytest.raises(NotUnderstood, match=rf"backends\[0\]\.{kind}: not supported"):
        check(_route(backends=[{kind: {}}]), forms.DocumentForm)


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ({"binds": [{"tunnelProtocol": "hboneGateway"}]}, r"binds\[0\]\.tunnelProtocol"),
        ({"binds": [{"listeners": [{"protocol": "AUTO"}]}]}, r"listeners\[0\]\.protocol"),
        ({"gateways": {"a": {"oidc": {}}}}, r"gateways\.a\.oidc"),
        ({"frontendPolicies": {"accessLog": {"otlp": {}}}}, r"frontendPolicies\.accessLog\.otlp"),
    ],
)
def test_elsewhere(given: object, where: str) -> None:
    with pytest.raises(NotUnderstood, match=f"{where}: .*not supported by rouse"):
        check(given, forms.DocumentForm)


def test_what_we_do_passes() -> None:
    check(_route(policies={"timeout": {}}), forms.DocumentForm)
