"""Policies of a document as the model has them: headers, rules, rates, TLS, time."""

import re
from pathlib import Path

from gateway.egress.cel import Expression
from gateway.egress.config import model
from gateway.egress.config import policy_forms as forms
from lifecycle.quantities import Duration
from lifecycle.strict import NotUnderstood

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
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
    if TOKEN.fullmatch(name) is None:
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


def backend_tls(form: forms.BackendTlsForm | None, path: str) -> model.BackendTls | None:
    if form is None:
        return None
    if (form.cert is None) != (form.key is None):
        raise NotUnderstood(f"{path}.backendTLS", "cert and key go together")
    if form.alpn is not None and (not form.alpn or set(form.alpn) - {"http/1.1", "h2"}):
        raise NotUnderstood(f"{path}.backendTLS.alpn", "is of http/1.1 and h2")
    if form.subject_alt_names is not None and not form.subject_alt_names:
        raise NotUnderstood(f"{path}.backendTLS.subjectAltNames", "is empty: nothing would do")
    return model.BackendTls(
        cert=None if form.cert is None else Path(form.cert),
        key=None if form.key is None else Path(form.key),
        root=None if form.root is None else Path(form.root),
        hostname=form.hostname,
        alt_names=form.subject_alt_names or (),
        group=group(form.key_exchange_groups, f"{path}.backendTLS.keyExchangeGroups"),
    )


_GROUPS = {"X25519": "X25519", "P-256": "prime256v1", "P-384": "secp384r1"}


def group(given: tuple[str, ...], path: str) -> str | None:
    """Python's ssl module can be told one."""
    if not given:
        return None
    if len(given) > 1 or given[0] not in _GROUPS:
        raise NotUnderstood(
            path, f"more than one, or another than {', '.join(_GROUPS)}, is not supported by rouse"
        )
    return _GROUPS[given[0]]


def wants_http2(tls: forms.BackendTlsForm | None, http: forms.HttpForm | None) -> bool:
    if http is not None and http.version is not None:
        return http.version == "HTTP/2.0"
    return tls is not None and tls.alpn is not None and tls.alpn[0] == "h2"


def retry(form: forms.RetryForm | None, path: str) -> model.Retry | None:
    if form is None:
        return None
    where = f"{path}.retry"
    if not 1 <= form.attempts <= 255:
        raise NotUnderstood(f"{where}.attempts", "is between 1 and 255")
    for index, code in enumerate(form.codes):
        if not 100 <= code <= 599:
            raise NotUnderstood(f"{where}.codes[{index}]", "is no status")
    return model.Retry(
        attempts=form.attempts,
        backoff_s=seconds(form.backoff, f"{where}.backoff") or 0.0,
        codes=frozenset(form.codes),
        precondition=expression(form.precondition, f"{where}.precondition"),
        condition=expression(form.condition, f"{where}.condition"),
    )


def tcp(form: forms.TcpForm | None, path: str) -> model.Tcp | None:
    if form is None:
        return None
    where = f"{path}.tcp"
    connect_s = seconds(form.connect_timeout, f"{where}.connectTimeout")
    if not connect_s:
        raise NotUnderstood(f"{where}.connectTimeout", "is more than 0s")
    probes = form.keepalives
    idle_s = seconds(probes.time, f"{where}.keepalives.time")
    every_s = seconds(probes.interval, f"{where}.keepalives.interval")
    if not idle_s or not every_s or probes.retries < 1:
        raise NotUnderstood(f"{where}.keepalives", "time, interval and retries are more than 0")
    return model.Tcp(
        connect_timeout_s=connect_s,
        keepalive=(max(1, round(idle_s)), max(1, round(every_s)), probes.retries)
        if probes.enabled
        else None,
    )


def http_timeout(form: forms.HttpForm | None, path: str) -> float | None:
    if form is None:
        return None
    if form.version not in (None, "HTTP/1.1", "HTTP/2.0"):
        raise NotUnderstood(f"{path}.http.version", "is HTTP/1.1 or HTTP/2.0")
    return seconds(form.request_timeout, f"{path}.http.requestTimeout")


def expression(text: str | None, path: str) -> Expression | None:
    return None if text is None else Expression(text, path)


def seconds(duration: Duration | None, path: str) -> float | None:
    if duration is None:
        return None
    if duration.finite is None:
        raise NotUnderstood(path, "has an end")
    return duration.finite
