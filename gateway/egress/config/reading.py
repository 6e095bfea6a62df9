"""From a document's text to the model: expand, refuse by name, check shape, build. No I/O."""

import ipaddress
from collections.abc import Mapping
from pathlib import Path

from gateway.egress import hosts
from gateway.egress.cel import Expression
from gateway.egress.config import expand, forms, model, ours, policies, refusing, routes
from lifecycle.strict import NotUnderstood, convert

LARGEST_BYTES = 1024 * 1024


def read(text: str | bytes, environ: Mapping[str, str]) -> model.Document:
    """Raises NotUnderstood with the path of what is wrong."""
    if len(text) > LARGEST_BYTES:
        raise NotUnderstood("", f"a document may be {LARGEST_BYTES // 1024} KiB at most")
    given = expand.read(text, environ)
    if not isinstance(given, dict):
        raise NotUnderstood("", "a document is one mapping")
    refusing.check(given, forms.DocumentForm)
    return build(convert(given, forms.DocumentForm))


def build(form: forms.DocumentForm) -> model.Document:
    named = {each.name: each for each in form.backends}
    if len(named) != len(form.backends):
        raise NotUnderstood("backends", "two have the same name")
    binds = [_bind(each, named, f"binds[{i}]") for i, each in enumerate(form.binds)]
    tunnels = any(each.tunnel_protocol == "connect" for each in form.binds)
    binds += _gateways(form, named)
    _check_binds(binds)
    frontend = form.frontend_policies
    mode = frontend.connect.mode if frontend.connect is not None else "deny"
    connect = {
        "deny": model.Connect.TUNNEL if tunnels else model.Connect.DENY,
        "tunnel": model.Connect.TUNNEL,
        "route": model.Connect.ROUTE,
    }[mode]
    network = frontend.network_authorization
    prices = form.config.model_catalog
    return model.Document(
        binds=tuple(binds),
        connect=connect,
        network_rules=model.NO_RULES
        if network is None
        else policies.rules(network.rules, "frontendPolicies.networkAuthorization.rules"),
        access_log=_access_log(frontend.access_log),
        private=tuple(
            _network(each, f"rouse.privateAddresses[{i}]")
            for i, each in enumerate(form.rouse.private_addresses)
        ),
        credentials=ours.credentials(form.rouse.credentials),
        budgets=ours.budgets(form.rouse.budgets),
        actors=None
        if form.rouse.actors is None
        else policies.rules(form.rouse.actors.rules, "rouse.actors.rules"),
        prices=None
        if prices is None
        else Path(prices.file if isinstance(prices, forms.FileForm) else prices),
        summary={
            "listeners": sum(len(bind.listeners) for bind in binds),
            "routes": sum(
                len(each.routes) + len(each.passes) for bind in binds for each in bind.listeners
            ),
            "credentials": len(form.rouse.credentials),
        },
    )


def _bind(form: forms.BindForm, named: routes.Named, path: str) -> model.Bind:
    internal = form.mode == "internal"
    if not internal and not 0 < form.port < 65536:
        raise NotUnderstood(f"{path}.port", "is no port")
    if form.tunnel_protocol == "connect" and form.listeners:
        raise NotUnderstood(
            f"{path}.listeners", "a bind with tunnelProtocol connect has none: use internal binds"
        )
    listeners = tuple(
        _listener(each, named, (), (), f"{path}.listeners[{i}]")
        for i, each in enumerate(form.listeners)
    )
    return model.Bind(port=form.port, internal=internal, listeners=listeners)


def _gateways(form: forms.DocumentForm, named: routes.Named) -> list[model.Bind]:
    attached: dict[str, list[forms.RouteForm]] = {}
    passed: dict[str, list[forms.TcpRouteForm]] = {}
    for index, each in enumerate(form.routes):
        for name in _attachments(each.gateways, form, f"routes[{index}]"):
            attached.setdefault(name, []).append(each)
    for index, tcp in enumerate(form.tcp_routes):
        for name in _attachments(tcp.gateways, form, f"tcpRoutes[{index}]"):
            passed.setdefault(name, []).append(tcp)
    made = []
    for name, gateway in form.gateways.items():
        path = f"gateways.{name}"
        if not 0 < gateway.port < 65536:
            raise NotUnderstood(f"{path}.port", "is no port")
        inner = gateway.listeners or (
            forms.ListenerForm(protocol=gateway.protocol, tls=gateway.tls),
        )
        listeners = tuple(
            _listener(
                each,
                named,
                tuple(attached.get(name, []) + attached.get(f"{name}/{each.name}", [])),
                tuple(passed.get(name, []) + passed.get(f"{name}/{each.name}", [])),
                f"{path}.listeners[{i}]",
            )
            for i, each in enumerate(inner)
        )
        made.append(model.Bind(port=gateway.port, internal=False, listeners=listeners))
    return made


def _attachments(
    given: str | tuple[str, ...], form: forms.DocumentForm, path: str
) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else given or ("default",)
    for name in names:
        gateway, slash, listener = name.partition("/")
        known = form.gateways.get(gateway)
        if known is None or (slash and listener not in {each.name for each in known.listeners}):
            raise NotUnderstood(f"{path}.gateways", f"{name[:80]!r} is no gateway here")
    return names


def _listener(
    form: forms.ListenerForm,
    named: routes.Named,
    attached: tuple[forms.RouteForm, ...],
    passed: tuple[forms.TcpRouteForm, ...],
    path: str,
) -> model.Listener:
    is_passed = form.protocol == "TLS"
    if is_passed and (form.routes or attached):
        raise NotUnderstood(f"{path}.routes", "a TLS listener takes tcpRoutes")
    if not is_passed and (form.tcp_routes or passed):
        raise NotUnderstood(f"{path}.tcpRoutes", f"a listener of {form.protocol} takes routes")
    if form.protocol == "HTTPS" and form.tls is None:
        raise NotUnderstood(f"{path}.tls", "is missing: an HTTPS listener opens what it gets")
    if form.protocol != "HTTPS" and form.tls is not None:
        raise NotUnderstood(f"{path}.tls", "is not supported by rouse but on HTTPS listeners")
    transform = form.policies.transformations
    if transform is not None and transform.response is not None:
        raise NotUnderstood(f"{path}.policies.transformations.response", "stands on the route")
    for index, each in enumerate(form.routes):
        if each.gateways:
            raise NotUnderstood(f"{path}.routes[{index}].gateways", "it stands in its listener")
    return model.Listener(
        name=form.name or path,
        protocol=form.protocol,
        hostname=None
        if form.hostname is None
        else hosts.check_pattern(form.hostname, f"{path}.hostname"),
        tls=None if form.tls is None else _tls(form.tls, f"{path}.tls"),
        routes=tuple(
            routes.route(each, named, f"{path}.routes[{i}]")
            for i, each in enumerate((*form.routes, *attached))
        ),
        passes=tuple(
            routes.pass_route(each, named, f"{path}.tcpRoutes[{i}]")
            for i, each in enumerate((*form.tcp_routes, *passed))
        ),
        rules=policies.authorization(form.policies.authorization, f"{path}.policies"),
        computed=policies.computed(
            None if transform is None else transform.request, f"{path}.policies.transformations"
        ),
    )


def _tls(form: forms.TlsForm, path: str) -> model.ListenerTls:
    if (form.cert is None) != (form.key is None):
        raise NotUnderstood(path, "cert and key go together")
    if form.mode == "static" and form.cert is None:
        raise NotUnderstood(f"{path}.cert", "is missing")
    return model.ListenerTls(
        cert=None if form.cert is None else Path(form.cert),
        key=None if form.key is None else Path(form.key),
        dynamic=form.mode == "dynamicCa",
        min_version=form.min_tls_version,
        max_version=form.max_tls_version,
    )


def _check_binds(binds: list[model.Bind]) -> None:
    taken: set[tuple[int, bool]] = set()
    for bind in binds:
        if (bind.port, bind.internal) in taken:
            what = f"port {bind.port}" if bind.port else "every port"
            raise NotUnderstood("binds", f"two are of {what}")
        taken.add((bind.port, bind.internal))
        kinds = {each.protocol for each in bind.listeners}
        if "HTTP" in kinds and len(kinds) > 1:
            raise NotUnderstood("binds", f"port {bind.port} mixes TLS with plaintext")


def _access_log(form: forms.AccessLogForm | None) -> model.AccessLog:
    if form is None:
        return model.AccessLog()
    path = "frontendPolicies.accessLog"
    return model.AccessLog(
        filter=None if form.filter is None else Expression(form.filter, f"{path}.filter"),
        add=tuple((k, Expression(v, f"{path}.add.{k}")) for k, v in form.add.items()),
        remove=frozenset(form.remove),
    )


def _network(text: str, path: str) -> model.Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise NotUnderstood(path, f"{text[:80]!r} is no network: {error}") from error
