"""Gates of a document: what is refused when it is read, and whose policy counts."""

import pytest

from gateway.egress.config import gates
from gateway.egress.config import policy_forms as forms
from gateway.egress.config.gate_model import Mode
from lifecycle.strict import NotUnderstood, convert
from tests.gateway.egress.documents import document, http

AUTHZ = "extAuthz: {host: 'h:1', protocol: {http: {}}"


def _gate(given: object, outer: object = None) -> object:
    made = None if outer is None else convert(outer, forms.GateForm)
    return gates.gate(convert(given, forms.GateForm), {}, "p", outer=made)


@pytest.mark.parametrize(
    ("policies", "why"),
    [
        ("apiKey: {keys: [{}]}", "either key or keyHash"),
        ("apiKey: {keys: [{keyHash: 'md5:1'}]}", "64 hexadecimal digits"),
        ("apiKey: {keys: [{key: a, metadata: 1}]}", "is a mapping"),
        ("apiKey: {keys: [{key: a, allowedModels: ['a*b']}]}", "one \\* at its beginning or end"),
        ("apiKey: {keys: [{key: a, allowedModels: ['*', a]}]}", "stands alone"),
        ("apiKey: {keys: [], location: {header: {name: a}, cookie: {name: b}}}", "is one of"),
        ("basicAuth: {htpasswd: '', realm: 'a\"b'}", "quoted string"),
        (
            "basicAuth: {htpasswd: '', authorizationLocation: "
            "{header: {name: proxy-authorization}}}",
            "not supported by rouse: it has the actor's own token",
        ),
        ("basicAuth: {htpasswd: '', mode: permissive}", "mode"),
        ("jwtAuth: {}", "either an issuer"),
        ("jwtAuth: {issuer: a}", "jwks: is missing"),
        ("jwtAuth: {issuer: a, jwks: '{}'}", "keys"),
        ("jwtAuth: {issuer: a, jwks: {url: 'http://i.test/'}}", "come over https"),
        ("jwtAuth: {issuer: a, jwks: {url: 'https://i/', file: f}}", "one of inline, file and url"),
        ("jwtAuth: {audiences: [a], providers: [{issuer: a, jwks: {file: f}}]}", "stands there"),
        ("cors: {allowOrigins: ['a b']}", "no origin"),
        ("cors: {allowMethods: ['a b']}", "no name"),
        ("extAuthz: {host: 'h:1'}", "grpc, their default, is not supported by rouse"),
        ("extAuthz: {protocol: {http: {}}}", "either host or backend"),
        ("extAuthz: {backend: nope, protocol: {http: {}}}", "no backend"),
        (AUTHZ + ", failureMode: {denyWithStatus: 200}}", "no status of a refusal"),
        (AUTHZ + ", includeRequestBody: {maxRequestBytes: 99999999}}", "1 MiB at most"),
        (AUTHZ + ", includeRequestHeaders: [Proxy-Authorization]}", "actor's own token"),
        (AUTHZ + ", cache: {key: [], ttl: '1'}}", "is empty"),
    ],
)
def test_what_makes_no_sense_is_refused(policies: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        http(f"[{{policies: {{{policies}}}, backends: [{{host: 'h:1'}}]}}]")


def test_the_inner_policy_counts_and_rules_add_up() -> None:
    outer = {
        "apiKey": {"keys": [{"key": "a"}], "mode": "strict"},
        "cors": {"allowOrigins": ["*"]},
        "authorization": {"rules": ["true"]},
    }
    inner = {"apiKey": {"keys": [{"key": "b"}]}, "authorization": {"rules": ["false"]}}
    made = _gate(inner, outer)
    from gateway.egress.config.gate_model import Gate

    assert isinstance(made, Gate) and made.api_keys is not None and made.cors is not None
    assert made.api_keys.mode is Mode.OPTIONAL and len(made.rules.allow) == 2


def test_a_mode_that_lets_strangers_pass_is_warned_of() -> None:
    made = document(
        "gateways: {default: {port: 80, apiKey: {keys: []}}}\n"
        "routes: [{name: r, policies: {jwtAuth: {mode: strict, issuer: a, jwks: {file: f}}, "
        "basicAuth: {htpasswd: '', mode: optional}}, backends: [{host: 'h:1'}]}]"
    )
    assert [each.partition(": ")[0] for each in made.warnings] == [
        "routes.r.policies.basicAuth",
        "gateways.default.apiKey",
    ]
