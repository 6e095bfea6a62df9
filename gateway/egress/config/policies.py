"""Policies of a document as the model has them: headers, rules, rates, credentials, TLS."""

import re
from pathlib import Path

from gateway.egress.cel import Expression
from gateway.egress.config import forms, model
from lifecycle.strict import NotUnderstood

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
PSEUDO = (":path", ":authority", ":method", ":scheme")
FRAMING = frozenset(
    "connection content-length host keep-alive proxy-authorization proxy-connection te trailer "
    "transfer-encoding upgrade".split()
)
"""What frames or routes a message, or names the caller: no edit may touch it."""


def header_name(name: str, path: str, *, pseudo: bool = False) -> str:
    lowered = name.lower()
    if pseudo and (lowered in PSEUDO or lowered == "host"):
        return ":authority" if lowered == "host" else lowered
    if _TOKEN.fullmatch(name) is None:
        raise NotUnderstood(path, f"{name[:80]!r} is no header's name")
    if lowered in FRAMING:
        raise NotUnderstood(path, f"{name} frames or routes a message and can't be edited")
    return lowered


def header_value(value: str, path: str) -> str:
    if _VALUE.fullmatch(value) is None:
        raise NotUnderstood(path, "has characters that a header can't carry")
    return value


def edits(form: forms.HeadersForm | None, path: str) -> tuple[model.Edits, ...]:
    if form is None:
        return ()

    def pairs(given: dict[str, str], where: str) -> tuple[tuple[str, str], ...]:
        return tuple(
            (header_name(k, f"{path}.{where}.{k}"), header_value(v, f"{path}.{where}.{k}"))
            for k, v in given.items()
        )

    return (
        model.Edits(
            add=pairs(form.add, "add"),
            set=pairs(form.set, "set"),
            remove=tuple(header_name(each, f"{path}.remove") for each in form.remove),
        ),
    )


def computed(
    form: forms.HeadersForm | None, path: str, *, pseudo: bool = True
) -> tuple[model.Computed, ...]:
    if form is None:
        return ()

    def pairs(given: dict[str, str], where: str) -> tuple[tuple[str, Expression], ...]:
        return tuple(
            (
                header_name(k, f"{path}.{where}.{k}", pseudo=pseudo and where == "set"),
                Expression(v, f"{path}.{where}.{k}"),
            )
            for k, v in given.items()
        )

    return (
        model.Computed(
            add=pairs(form.add, "add"),
            set=pairs(form.set, "set"),
            remove=tuple(header_name(each, f"{path}.remove") for each in form.remove),
        ),
    )


def rules(given: tuple[str | forms.RuleForm, ...], path: str) -> model.Rules:
    found: dict[str, list[Expression]] = {"allow": [], "deny": [], "require": []}
    for index, rule in enumerate(given):
        where = f"{path}[{index}]"
        if isinstance(rule, str):
            found["allow"].append(Expression(rule, where))
            continue
        said = [(kind, text) for kind in found if (text := getattr(rule, kind)) is not None]
        if len(said) != 1:
            raise NotUnderstood(where, "a rule is one of allow, deny and require")
        found[said[0][0]].append(Expression(said[0][1], f"{where}.{said[0][0]}"))
    return model.Rules(**{kind: tuple(each) for kind, each in found.items()})


def authorization(form: forms.AuthorizationForm | None, path: str) -> model.Rules:
    return model.NO_RULES if form is None else rules(form.rules, f"{path}.authorization.rules")


def rates(given: tuple[forms.RateForm, ...], path: str) -> tuple[model.Rate, ...]:
    made = []
    for index, form in enumerate(given):
        where = f"{path}.localRateLimit[{index}]"
        if form.max_tokens < 1 or form.tokens_per_fill < 1:
            raise NotUnderstood(where, "a bucket holds and is filled with at least one token")
        if form.tokens_per_fill > form.max_tokens:
            raise NotUnderstood(f"{where}.tokensPerFill", "is more than maxTokens")
        interval = form.fill_interval.finite
        if not interval:
            raise NotUnderstood(f"{where}.fillInterval", "must be more than 0s")
        made.append(
            model.Rate(
                max_tokens=form.max_tokens,
                per_fill=form.tokens_per_fill,
                interval_s=interval,
                counts_llm=form.type == "tokens",
                key=None if form.key is None else Expression(form.key, f"{where}.key"),
            )
        )
    return tuple(made)


def source_of(secret: forms.Secret) -> model.Source:
    if isinstance(secret, forms.FileForm):
        return model.Source(file=Path(secret.file))
    return model.Source(value=secret)


def location(form: forms.LocationForm | None, path: str) -> model.Location:
    if form is None:
        return model.BEARER
    given = [each for each in (form.header, form.query_parameter, form.cookie) if each is not None]
    if len(given) != 1:
        raise NotUnderstood(path, "is one of header, queryParameter and cookie")
    if form.header is not None:
        return model.Location(
            name=header_name(form.header.name, f"{path}.header.name"),
            prefix=header_value(form.header.prefix, f"{path}.header.prefix"),
        )
    if form.cookie is not None:
        if _TOKEN.fullmatch(form.cookie.name) is None:
            raise NotUnderstood(f"{path}.cookie.name", "is no cookie's name")
        return model.Location(place=model.Place.COOKIE, name=form.cookie.name)
    assert form.query_parameter is not None
    if re.fullmatch(r"[A-Za-z0-9._~-]+", form.query_parameter.name) is None:
        raise NotUnderstood(f"{path}.queryParameter.name", "is no parameter's name")
    return model.Location(place=model.Place.QUERY, name=form.query_parameter.name)


def backend_auth(
    form: forms.BackendAuthForm | None, hosts: tuple[str, ...], path: str, *, plain_http: bool
) -> tuple[model.Credential, ...]:
    """Primary first, then in the list's order. `hosts`: where it may go, and nowhere else."""
    if form is None:
        return ()
    where = f"{path}.backendAuth"
    made: list[tuple[model.Source, model.Location]] = []
    if isinstance(form.key, str):
        made.append((model.Source(value=form.key), model.BEARER))
    elif form.key is not None:
        made.append(_key(form.key, f"{where}.key"))
    for index, each in enumerate(form.credentials):
        at = f"{where}.credentials[{index}]"
        made.append((source_of(each.key), location(each.location, f"{at}.location")))
    if not made:
        raise NotUnderstood(where, "has no key")
    if not hosts:
        raise NotUnderstood(
            where, "would go to any host: give the route hostnames, or its backend a host"
        )
    return tuple(
        model.Credential(
            name=where, hosts=hosts, source=source, location=place, plain_http=plain_http
        )
        for source, place in made
    )


def _key(form: forms.KeyForm, path: str) -> tuple[model.Source, model.Location]:
    if (form.file is None) == (form.value is None):
        raise NotUnderstood(path, "has either file or value")
    if form.file is not None:
        if form.location is not None:
            raise NotUnderstood(f"{path}.location", "goes with value: {value: {file}, location}")
        return model.Source(file=Path(form.file)), model.BEARER
    assert form.value is not None
    return source_of(form.value), location(form.location, f"{path}.location")


def backend_tls(form: forms.BackendTlsForm | None, path: str) -> model.BackendTls | None:
    if form is None:
        return None
    if (form.cert is None) != (form.key is None):
        raise NotUnderstood(f"{path}.backendTLS", "cert and key go together")
    if form.alpn is not None and set(form.alpn) - {"http/1.1"}:
        raise NotUnderstood(f"{path}.backendTLS.alpn", "only http/1.1 is supported by rouse")
    return model.BackendTls(
        cert=None if form.cert is None else Path(form.cert),
        key=None if form.key is None else Path(form.key),
        root=None if form.root is None else Path(form.root),
        hostname=form.hostname,
    )


def seconds(duration: object, path: str) -> float | None:
    from lifecycle.quantities import Duration

    if duration is None:
        return None
    assert isinstance(duration, Duration)
    if duration.finite is None:
        raise NotUnderstood(path, "has an end")
    return duration.finite
