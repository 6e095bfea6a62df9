"""From a document's text to the model: expand, refuse by name, check shape, build. No I/O."""

import ipaddress
from collections.abc import Mapping

from gateway.egress.config import (
    expand,
    forms,
    gates,
    listeners,
    llm,
    model,
    ours,
    policies,
    refusing,
    settings,
)
from gateway.egress.config.gates import Named
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
    warnings: list[str] = []
    binds = [_bind(each, named, f"binds[{i}]", warnings) for i, each in enumerate(form.binds)]
    tunnels = any(each.tunnel_protocol == "connect" for each in form.binds)
    binds += _gateways(form, named, warnings)
    _check_binds(binds)
    frontend = form.frontend_policies
    mode = frontend.connect.mode if frontend.connect is not None else "deny"
    connect = {
        "deny": model.Connect.TUNNEL if tunnels else model.Connect.DENY,
        "tunnel": model.Connect.TUNNEL,
        "route": model.Connect.ROUTE,
    }[mode]
    network = frontend.network_authorization
    catalogs = settings.catalogs(form.config.model_catalog)
    return model.Document(
        binds=tuple(binds),
        connect=connect,
        network_rules=model.NO_RULES
        if network is None
        else policies.rules(network.rules, "frontendPolicies.networkAuthorization.rules"),
        access_log=settings.access_log(frontend.access_log, form.config.logging),
        log_level=settings.log_level(form.config.logging),
        metrics=settings.metrics(form.config.metrics),
        private=tuple(
            _network(each, f"rouse.privateAddresses[{i}]")
            for i, each in enumerate(form.rouse.private_addresses)
        ),
        credentials=ours.credentials(form.rouse.credentials),
        budgets=ours.budgets(form.rouse.budgets),
        actors=None
        if form.rouse.actors is None
        else policies.rules(form.rouse.actors.rules, "rouse.actors.rules"),
        catalogs=catalogs,
        warnings=tuple(warnings),
        summary={
            "listeners": sum(len(bind.listeners) for bind in binds),
            "routes": sum(
                len(each.routes) + len(each.passes) for bind in binds for each in bind.listeners
            ),
            "credentials": len(form.rouse.credentials),
        },
    )


def _bind(form: forms.BindForm, named: Named, path: str, warnings: list[str]) -> model.Bind:
    internal = form.mode == "internal"
    if not internal and not 0 < form.port < 65536:
        raise NotUnderstood(f"{path}.port", "is no port")
    if form.tunnel_protocol == "connect" and form.listeners:
        raise NotUnderstood(
            f"{path}.listeners", "a bind with tunnelProtocol connect has none: use internal binds"
        )
    made = tuple(
        listeners.listener(each, named, f"{path}.listeners[{i}]", warnings)
        for i, each in enumerate(form.listeners)
    )
    return model.Bind(port=form.port, internal=internal, listeners=made)


def _gateways(form: forms.DocumentForm, named: Named, warnings: list[str]) -> list[model.Bind]:
    attached: dict[str, list[forms.RouteForm]] = {}
    passed: dict[str, list[forms.TcpRouteForm]] = {}
    for index, each in enumerate(form.routes):
        for name in _attachments(each.gateways, form, f"routes[{index}]"):
            attached.setdefault(name, []).append(each)
    for index, tcp in enumerate(form.tcp_routes):
        for name in _attachments(tcp.gateways, form, f"tcpRoutes[{index}]"):
            passed.setdefault(name, []).append(tcp)
    models = _llm(form, named, warnings)
    made = []
    for name, gateway in form.gateways.items():
        path = f"gateways.{name}"
        if not 0 < gateway.port < 65536:
            raise NotUnderstood(f"{path}.port", "is no port")
        inner = gateway.listeners or (
            forms.ListenerForm(protocol=gateway.protocol, tls=gateway.tls),
        )
        found = tuple(
            listeners.listener(
                each,
                named,
                f"{path}.listeners[{i}]",
                warnings,
                attached=tuple(attached.get(name, []) + attached.get(f"{name}/{each.name}", [])),
                passed=tuple(passed.get(name, []) + passed.get(f"{name}/{each.name}", [])),
                more=tuple(models.get(name, []) + models.get(f"{name}/{each.name}", [])),
                outer=gateway,
            )
            for i, each in enumerate(inner)
        )
        made.append(model.Bind(port=gateway.port, internal=False, listeners=found))
    if "" in models:
        assert form.llm is not None
        port = llm.DEFAULT_PORT if form.llm.port is None else form.llm.port
        if not 0 < port < 65536:
            raise NotUnderstood("llm.port", "is no port")
        only = model.Listener(name="llm", protocol="HTTP", routes=tuple(models[""]))
        made.append(model.Bind(port=port, internal=False, listeners=(only,)))
    return made


def _llm(
    form: forms.DocumentForm, named: Named, warnings: list[str]
) -> dict[str, list[model.Route]]:
    """The route of `llm` by the gateway that it is attached to; "": by none, so by its port."""
    if form.llm is None:
        return {}
    given = form.llm.policies
    warnings += gates.warnings(given, "llm.policies")
    route = llm.route(form.llm, named)
    if not form.llm.gateways:
        return {"": [route]}
    if form.llm.port is not None:
        raise NotUnderstood("llm.port", "and gateways: say one of them")
    return {name: [route] for name in _attachments(form.llm.gateways, form, "llm")}


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


def _network(text: str, path: str) -> model.Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise NotUnderstood(path, f"{text[:80]!r} is no network: {error}") from error
