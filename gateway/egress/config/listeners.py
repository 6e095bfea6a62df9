"""Listeners of a document: their routes, their gate, and how they are opened."""

from pathlib import Path

import msgspec

from gateway.egress import hosts
from gateway.egress.config import forms, gates, model, policies, routes
from gateway.egress.config import policy_forms as policy
from gateway.egress.config.gates import Named
from lifecycle.strict import NotUnderstood


def listener(
    form: forms.ListenerForm,
    named: Named,
    path: str,
    warnings: list[str],
    *,
    attached: tuple[forms.RouteForm, ...] = (),
    passed: tuple[forms.TcpRouteForm, ...] = (),
    more: tuple[model.Route, ...] = (),
    outer: policy.GateForm | None = None,
) -> model.Listener:
    """`attached`, `passed`, `more`: what names it from elsewhere. `outer`: its gateway."""
    is_passed = form.protocol == "TLS"
    if is_passed and (form.routes or attached or more):
        raise NotUnderstood(f"{path}.routes", "a TLS listener takes tcpRoutes")
    if not is_passed and (form.tcp_routes or passed):
        raise NotUnderstood(f"{path}.tcpRoutes", f"a listener of {form.protocol} takes routes")
    if form.protocol == "HTTPS" and form.tls is None:
        raise NotUnderstood(f"{path}.tls", "is missing: an HTTPS listener opens what it gets")
    if form.protocol != "HTTPS" and form.tls is not None:
        raise NotUnderstood(f"{path}.tls", "is not supported by rouse but on HTTPS listeners")
    if is_passed:
        _check_unopened(form.policies, f"{path}.policies")
    for index, each in enumerate(form.routes):
        if each.gateways:
            raise NotUnderstood(f"{path}.routes[{index}].gateways", "it stands in its listener")
        warnings += gates.warnings(each.policies, f"{path}.routes[{index}].policies")
    for route in attached:
        warnings += gates.warnings(route.policies, f"routes.{route.name}.policies")
    warnings += gates.warnings(form.policies, f"{path}.policies")
    if outer is not None:
        warnings += gates.warnings(outer, path.partition(".listeners")[0])
    return model.Listener(
        name=form.name or path,
        protocol=form.protocol,
        hostname=None
        if form.hostname in (None, "*")
        else hosts.check_pattern(form.hostname or "", f"{path}.hostname"),
        tls=None if form.tls is None else _tls(form.tls, f"{path}.tls"),
        routes=(
            *(
                routes.route(each, named, f"{path}.routes[{i}]")
                for i, each in enumerate((*form.routes, *attached))
            ),
            *more,
        ),
        passes=tuple(
            routes.pass_route(each, named, f"{path}.tcpRoutes[{i}]")
            for i, each in enumerate((*form.tcp_routes, *passed))
        ),
        gate=gates.gate(form.policies, named, f"{path}.policies", outer=outer),
    )


def _tls(form: forms.TlsForm, path: str) -> model.ListenerTls:
    if (form.cert is None) != (form.key is None):
        raise NotUnderstood(path, "cert and key go together")
    if form.mode == "static" and form.cert is None:
        raise NotUnderstood(f"{path}.cert", "is missing")
    if form.mode == "dynamicCa" and form.root is not None:
        raise NotUnderstood(f"{path}.root", "does not go with dynamicCa")
    return model.ListenerTls(
        cert=None if form.cert is None else Path(form.cert),
        key=None if form.key is None else Path(form.key),
        dynamic=form.mode == "dynamicCa",
        min_version=form.min_tls_version,
        max_version=form.max_tls_version,
        root=None if form.root is None else Path(form.root),
        ciphers=form.cipher_suites,
        group=policies.group(form.key_exchange_groups, f"{path}.keyExchangeGroups"),
    )


def _check_unopened(form: policy.GateForm, path: str) -> None:
    """What is passed through unopened has a name and a caller, and nothing else to judge."""
    for name in policy.GateForm.__struct_fields__:
        if name != "authorization" and getattr(form, name) is not None:
            told = next(f.encode_name for f in msgspec.structs.fields(form) if f.name == name)
            raise NotUnderstood(f"{path}.{told}", "is not supported by rouse on a TLS listener")
