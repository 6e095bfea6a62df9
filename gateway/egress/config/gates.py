"""Who may pass: the gate of a listener, gateway or route, built from its policies."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from gateway.egress import hosts
from gateway.egress.cel import Expression
from gateway.egress.config import gate_model as model
from gateway.egress.config import keys, policies
from gateway.egress.config import policy_forms as forms
from gateway.egress.config.backend_forms import NamedBackendForm
from gateway.egress.config.llm_forms import LlmPoliciesForm
from gateway.egress.config.values import BASIC, BEARER, HttpSource, Location, Source
from gateway.ingress.auth.identity import ALGORITHMS
from gateway.ingress.auth.keysets import BadKeySet, read_key_set
from lifecycle.strict import NotUnderstood
from lifecycle.trust import is_loopback

Named = Mapping[str, NamedBackendForm]

_HASH = re.compile(r"sha256:([0-9a-fA-F]{64})")
_JWKS_TTL_S = 300.0
LARGEST_SHOWN = 1024 * 1024
"""Of a body that an authorization service is shown."""


def gate(
    form: forms.GateForm, named: Named, path: str, *, outer: forms.GateForm | None = None
) -> model.Gate:
    """`outer`: the gateway's; of each kind the inner one is taken, but rules add up."""
    given = forms.GateForm() if outer is None else outer

    def pick(name: str) -> object:
        own = getattr(form, name)
        return getattr(given, name) if own is None else own

    cors, jwt, basic = pick("cors"), pick("jwt_auth"), pick("basic_auth")
    api_key, authz, transform = pick("api_key"), pick("ext_authz"), pick("transformations")
    assert cors is None or isinstance(cors, forms.CorsForm)
    assert jwt is None or isinstance(jwt, forms.JwtAuthForm)
    assert basic is None or isinstance(basic, forms.BasicAuthForm)
    assert api_key is None or isinstance(api_key, forms.ApiKeysForm)
    assert authz is None or isinstance(authz, forms.ExtAuthzForm)
    assert transform is None or isinstance(transform, forms.TransformationsForm)
    return model.Gate(
        cors=None if cors is None else _cors(cors, f"{path}.cors"),
        jwt=None if jwt is None else _jwt(jwt, f"{path}.jwtAuth"),
        basic=None if basic is None else _basic(basic, f"{path}.basicAuth"),
        api_keys=None if api_key is None else _api_keys(api_key, f"{path}.apiKey"),
        authz=None if authz is None else ext_authz(authz, named, f"{path}.extAuthz"),
        rules=policies.authorization(given.authorization, path)
        + policies.authorization(form.authorization, path),
        computed=policies.computed(
            None if transform is None else transform.request, f"{path}.transformations"
        ),
        answered=policies.computed(
            None if transform is None else transform.response,
            f"{path}.transformations",
            pseudo=False,
        ),
    )


def _shown(form: forms.ReadLocationForm | None, path: str, default: Location) -> model.Shown:
    if form is None:
        return model.Shown(location=default)
    if form.header is not None and form.header.name.lower() == "proxy-authorization":
        raise NotUnderstood(
            f"{path}.header.name", "proxy-authorization is not supported by rouse: it has the "
            "actor's own token",
        )  # fmt: skip
    if form.expression is None:
        return model.Shown(location=keys.location(form, path))
    if any(each is not None for each in (form.header, form.query_parameter, form.cookie)):
        raise NotUnderstood(path, "is one of header, queryParameter, cookie and expression")
    return model.Shown(expression=Expression(form.expression, f"{path}.expression"))


def _cors(form: forms.CorsForm, path: str) -> model.Cors:
    def names(given: tuple[str, ...], where: str) -> tuple[str, ...]:
        for each in given:
            if each != "*" and policies.TOKEN.fullmatch(each) is None:
                raise NotUnderstood(f"{path}.{where}", f"{each[:80]!r} is no name")
        return ("*",) if "*" in given else given

    for each in form.allow_origins:
        if re.fullmatch(r"[\x21-\x2b\x2d-\x7e]+", each) is None:
            raise NotUnderstood(f"{path}.allowOrigins", f"{each[:80]!r} is no origin")
    age_s = policies.seconds(form.max_age, f"{path}.maxAge")
    return model.Cors(
        origins=("*",) if "*" in form.allow_origins else form.allow_origins,
        methods=names(form.allow_methods, "allowMethods"),
        headers=names(form.allow_headers, "allowHeaders"),
        exposed=names(form.expose_headers, "exposeHeaders"),
        credentials=form.allow_credentials,
        max_age_s=None if age_s is None else int(age_s),
    )


def _api_keys(form: forms.ApiKeysForm, path: str) -> model.ApiKeys:
    made: dict[str, model.ApiKey] = {}
    for index, each in enumerate(form.keys):
        where = f"{path}.keys[{index}]"
        if (each.key is None) == (each.key_hash is None):
            raise NotUnderstood(where, "has either key or keyHash")
        match = None if each.key_hash is None else _HASH.fullmatch(each.key_hash)
        if each.key is not None:
            digest = hashlib.sha256(each.key.encode()).hexdigest()
        elif match is not None:
            digest = match[1].lower()
        else:
            raise NotUnderstood(f"{where}.keyHash", "is sha256: and 64 hexadecimal digits")
        if each.metadata is not None and not isinstance(each.metadata, dict):
            raise NotUnderstood(f"{where}.metadata", "is a mapping")
        made[digest] = model.ApiKey(
            metadata=each.metadata or {},
            models=_patterns(each.allowed_models, f"{where}.allowedModels"),
        )
    return model.ApiKeys(
        by_digest=made,
        mode=model.Mode(form.mode),
        shown=_shown(form.location, f"{path}.location", BEARER),
    )


def _patterns(given: tuple[str, ...] | None, path: str) -> tuple[str, ...] | None:
    for each in given or ():
        check_model(each, path)
        if each == "*" and len(given or ()) > 1:
            raise NotUnderstood(path, "'*' stands alone")
    return given


def check_model(pattern: str, path: str) -> None:
    inner = pattern.removesuffix("*") if pattern.endswith("*") else pattern.removeprefix("*")
    if not pattern or "*" in inner:
        raise NotUnderstood(path, "is a model's name, with one * at its beginning or end at most")


def _basic(form: forms.BasicAuthForm, path: str) -> model.BasicAuth:
    realm = "Restricted" if form.realm is None else form.realm
    if re.fullmatch(r"[\x20\x21\x23-\x5b\x5d-\x7e]*", realm) is None:
        raise NotUnderstood(f"{path}.realm", "has characters that a quoted string can't carry")
    shown = _shown(form.authorization_location, f"{path}.authorizationLocation", BASIC)
    return model.BasicAuth(
        users=keys.source_of(form.htpasswd), realm=realm, mode=model.Mode(form.mode), shown=shown
    )


def _jwt(form: forms.JwtAuthForm, path: str) -> model.JwtAuth:
    if (form.issuer is None) == (not form.providers):
        raise NotUnderstood(path, "has either an issuer with its jwks, or providers")
    if form.providers:
        for name in ("audiences", "jwks", "jwt_validation_options"):
            if getattr(form, name) is not None:
                raise NotUnderstood(path, "has providers: what is of one issuer stands there")
        issuers = tuple(
            _issuer(each, f"{path}.providers[{i}]") for i, each in enumerate(form.providers)
        )
    else:
        if form.jwks is None:
            raise NotUnderstood(f"{path}.jwks", "is missing")
        one = forms.IssuerForm(
            issuer=form.issuer or "",
            audiences=form.audiences,
            jwks=form.jwks,
            jwt_validation_options=form.jwt_validation_options or forms.ValidationForm(),
        )
        issuers = (_issuer(one, path),)
    return model.JwtAuth(
        issuers=issuers,
        mode=model.Mode(form.mode),
        shown=_shown(form.location, f"{path}.location", BEARER),
    )


def _issuer(form: forms.IssuerForm, path: str) -> model.Issuer:
    return model.Issuer(
        name=form.issuer,
        audiences=form.audiences or (),
        required=form.jwt_validation_options.required_claims,
        keys=_jwks(form.jwks, f"{path}.jwks"),
    )


def _jwks(form: str | forms.JwksForm, path: str) -> Source:
    given = forms.JwksForm(inline=form) if isinstance(form, str) else form
    if sum(each is not None for each in (given.inline, given.file, given.url)) != 1:
        raise NotUnderstood(path, "is one of inline, file and url")
    if given.file is not None:
        return Source(file=Path(given.file))
    if given.url is not None:
        parts = urlsplit(given.url)
        is_safe = parts.scheme == "https" or is_loopback(parts.hostname or "")
        if parts.scheme not in ("http", "https") or not parts.hostname or not is_safe:
            raise NotUnderstood(f"{path}.url", "keys come over https, or from this machine")
        return Source(http=HttpSource(url=given.url), ttl_s=_JWKS_TTL_S)
    text = given.inline or ""
    try:
        read_key_set(text, frozenset(ALGORITHMS))
    except BadKeySet as error:
        raise NotUnderstood(path, str(error)) from error
    return Source(value=text)


def ext_authz(form: forms.ExtAuthzForm, named: Named, path: str) -> model.ExtAuthz:
    http = form.protocol.http
    if http is None:
        raise NotUnderstood(
            f"{path}.protocol", "grpc, their default, is not supported by rouse: say {http: {}}"
        )
    status: int | None = 403
    if form.failure_mode == "allow":
        status = None
    elif isinstance(form.failure_mode, forms.DenyWithForm):
        status = form.failure_mode.deny_with_status
        if not 400 <= status < 600:
            raise NotUnderstood(f"{path}.failureMode.denyWithStatus", "is no status of a refusal")
    at = f"{path}.protocol.http"
    body = form.include_request_body
    if body is not None and not 0 <= body.max_request_bytes <= LARGEST_SHOWN:
        raise NotUnderstood(f"{path}.includeRequestBody.maxRequestBytes", "is 1 MiB at most")
    return model.ExtAuthz(
        service=service(form.host, form.backend, form.policies, named, path),
        path=policies.expression(http.path, f"{at}.path"),
        body=policies.expression(http.body, f"{at}.body"),
        redirect=policies.expression(http.redirect, f"{at}.redirect"),
        copied=tuple(
            policies.header_name(each, f"{at}.includeResponseHeaders")
            for each in http.include_response_headers
        ),
        added=tuple(
            (_any_name(k, f"{at}.addRequestHeaders.{k}"), Expression(v, f"{at}.addRequestHeaders"))
            for k, v in http.add_request_headers.items()
        ),
        metadata=tuple((k, Expression(v, f"{at}.metadata.{k}")) for k, v in http.metadata.items()),
        failure_status=status,
        sent=tuple(
            _any_name(each, f"{path}.includeRequestHeaders")
            for each in form.include_request_headers or ("authorization",)
        ),
        body_bytes=None if body is None or http.body is not None else body.max_request_bytes,
        body_may_be_cut=body is not None and body.allow_partial_message,
        cache=None if form.cache is None else _cache(form.cache, f"{path}.cache"),
    )


def _any_name(name: str, path: str) -> str:
    lowered = name.lower()
    if lowered in policies.PSEUDO:
        return lowered
    if lowered == "proxy-authorization":
        raise NotUnderstood(path, "has the actor's own token, which goes nowhere")
    return policies.header_name(name, path)


def _cache(form: forms.AuthzCacheForm, path: str) -> model.AuthzCache:
    if not form.key:
        raise NotUnderstood(f"{path}.key", "is empty: one answer would be everybody's")
    return model.AuthzCache(
        key=tuple(Expression(each, f"{path}.key[{i}]") for i, each in enumerate(form.key)),
        ttl=Expression(form.ttl, f"{path}.ttl"),
        most=max(1, form.max_entries),
    )


def service(
    host: str | None,
    backend: str | None,
    own: forms.SimplePoliciesForm | None,
    named: Named,
    path: str,
) -> model.Service:
    if (host is None) == (backend is None):
        raise NotUnderstood(path, "says either host or backend")
    given = own or forms.SimplePoliciesForm()
    tls, auth = given.backend_tls, given.backend_auth
    if backend is not None:
        found = named.get(backend)
        if found is None or found.host is None:
            raise NotUnderstood(f"{path}.backend", f"{backend[:80]!r} is no backend with a host")
        host, tls = found.host, tls or found.policies.backend_tls
        auth = auth or found.policies.backend_auth
    name, port = authority(host or "", f"{path}.host")
    at = f"{path}.policies"
    edits = policies.edits(given.request_header_modifier, f"{at}.requestHeaderModifier")
    credentials = keys.backend_auth(auth, (name,), at)
    if any(each.passes for each in credentials):
        raise NotUnderstood(f"{at}.backendAuth.passthrough", "is not supported by rouse here")
    if edits and (edits[0].add or edits[0].remove):
        raise NotUnderstood(f"{at}.requestHeaderModifier", "only `set` is supported by rouse here")
    if tls is not None and tls.subject_alt_names:
        raise NotUnderstood(f"{at}.backendTLS.subjectAltNames", "is not supported by rouse here")
    return model.Service(
        host=name,
        port=port,
        tls=policies.backend_tls(tls, at),
        credentials=credentials,
        headers=edits[0].set if edits else (),
        timeout_s=policies.http_timeout(given.http, at) or 2.0,
    )


def authority(text: str, path: str) -> tuple[str, int]:
    try:
        host, port = hosts.split_port(text, 0)
    except hosts.BadHost as error:
        raise NotUnderstood(path, str(error)) from error
    if not port:
        raise NotUnderstood(path, f"{text[:80]!r} has no port: write host:port")
    return host, port


def warnings(form: forms.GateForm | LlmPoliciesForm, path: str) -> list[str]:
    """What is accepted, and lets pass who says nothing of itself."""
    found = []
    for name, one in (
        ("jwtAuth", form.jwt_auth),
        ("basicAuth", form.basic_auth),
        ("apiKey", form.api_key),
    ):
        if one is not None and one.mode != "strict":
            found.append(f"{path}.{name}: mode {one.mode} lets callers pass that show nothing")
    return found
