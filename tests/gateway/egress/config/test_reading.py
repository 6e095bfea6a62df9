"""Whole documents: the one that agentgateway loads too, and what is refused."""

import pytest

from gateway.egress.config.model import Connect
from gateway.egress.config.reading import read
from lifecycle.strict import NotUnderstood
from tests.gateway.egress.documents import FACTS, document


def test_the_document_of_both_loads() -> None:
    made = document(FACTS)
    assert made.connect is Connect.TUNNEL
    assert [route.name for route in made.binds[1].listeners[0].routes] == ["models", "read-repos"]
    secret = made.binds[1].listeners[0].routes[1].backends[0].credentials[0].source
    assert secret.value == "ghp_1: #'\"" and "ghp_1" not in repr(made)


def test_routes_attach_to_gateways() -> None:
    made = document(
        "gateways: {default: {port: 80}, web: {port: 81, listeners: [{name: a}, {name: b}]}}\n"
        "routes: [{name: one, backends: [{host: 'h:1'}]}, "
        "{name: two, gateways: web/b, backends: [{host: 'h:1'}]}]"
    )
    names = [[[r.name for r in each.routes] for each in b.listeners] for b in made.binds]
    assert names == [[["one"]], [[], ["two"]]]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[1]", "one mapping"),
        ("binds: [{port: 70000, listeners: []}]", "no port"),
        ("binds: [{port: 1, listeners: []}, {port: 1, listeners: []}]", "two are of port 1"),
        ("binds: [{port: 1, listeners: [{protocol: HTTPS}]}]", "tls: is missing"),
        ("binds: [{port: 1, listeners: [{protocol: TLS, routes: [{}]}]}]", "takes tcpRoutes"),
        ("routes: [{backends: [{host: 'h:1'}], gateways: x}]", "no gateway here"),
        ("rouse: {privateAddresses: [10.0.0.1/8]}", "no network"),
        ("frontendPolicies: {networkAuthorization: {rules: ['actr.name == 1']}}", "actr"),
        ("frontendPolicies: {networkAuthorization: {rules: ['nope(1)']}}", "no function"),
        ("frontendPolicies: {networkAuthorization: {rules: ['1 +']}}", "not CEL"),
    ],
)
def test_refusals_say_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(NotUnderstood, match=why):
        read(text, {})


# As people write them for agentgateway, in our words.
WRITTEN = {
    "only these names, unopened": """
binds:
- port: 3000
  tunnelProtocol: connect
  listeners: []
gateways:
  secure:
    port: 443
    listeners:
    - {name: public, hostname: "*", protocol: TLS}
tcpRoutes:
- name: allowed
  gateways: secure/public
  hostnames: [pypi.org, "*.pythonhosted.org"]
  backends:
  - dynamic: {}
""",
    "models at a name of their own, beside what is passed through": """
binds:
- {port: 3000, tunnelProtocol: connect, listeners: []}
gateways:
  secure:
    port: 443
    listeners:
    - name: llm
      hostname: llm.example.com
      protocol: HTTPS
      tls: {cert: cert.pem, key: key.pem}
    - {name: public, hostname: "*", protocol: TLS}
tcpRoutes:
- gateways: secure/public
  hostnames: [github.com]
  backends: [{dynamic: {}}]
llm:
  gateways: secure/llm
  models:
  - name: smart
    provider: openAI
    params: {model: gpt-5, apiKey: $KEY}
  - name: anthropic/*
    provider: anthropic
    params: {apiKey: $KEY}
    transformation:
      model: llmRequest.model.stripPrefix("anthropic/")
""",
    "everything opened, with headers computed": """
binds:
- {port: 3000, tunnelProtocol: connect, listeners: []}
- port: 443
  mode: internal
  listeners:
  - protocol: HTTPS
    tls: {mode: dynamicCa, cert: ca.pem, key: ca.key}
    routes:
    - backends:
      - dynamic: {}
        policies: {backendTLS: {}}
      policies:
        transformations:
          request: {set: {x-req: "'hello'"}}
          response: {set: {x-resp: "'hello'"}}
""",
    "policies of a route": """
binds:
- port: 3000
  listeners:
  - protocol: HTTP
    routes:
    - name: all
      policies:
        cors:
          allowHeaders: [header]
          allowOrigins: ["*"]
          allowCredentials: true
          allowMethods: [GET]
          exposeHeaders: [header2]
          maxAge: 100s
        requestHeaderModifier: {add: {x-a: value}, remove: [x-b]}
        responseHeaderModifier: {set: {x-c: value}}
        urlRewrite: {path: {full: /new}, authority: {full: custom}}
        localRateLimit: [{maxTokens: 10, tokensPerFill: 1, fillInterval: 1s}]
        retry: {attempts: 2, codes: [429]}
        timeout: {requestTimeout: 1s}
      backends:
      - host: 127.0.0.1:8080
    - name: ips
      matches: [{path: {pathPrefix: /ips}}]
      policies:
        authorization: {rules: ['cidr("127.0.0.1/8").containsIP(source.address)']}
        directResponse: {body: "hello!", status: 200}
""",
    "providers in groups": """
binds:
- port: 8080
  listeners:
  - name: llm
    protocol: HTTP
    routes:
    - backends:
      - ai:
          groups:
          - providers:
            - {name: anthropic, provider: {anthropic: {}}}
          - providers:
            - {name: openai, provider: {openAI: {}}}
            - name: other
              hostOverride: "example.com:443"
              pathOverride: /api/v1/chat/completions
              provider: {openAI: {model: some-model}}
              policies: {backendAuth: {key: $KEY}, backendTLS: {}}
""",
    "a token that another service makes": """
config: {}
binds:
- port: 3000
  listeners:
  - name: default
    protocol: HTTP
    routes:
    - name: exchange
      backends: [{host: "localhost:18080"}]
      policies:
        extAuthz:
          host: localhost:7080
          cache: {key: ['request.headers["authorization"]'], ttl: extauthz.expires - 5}
          protocol:
            http:
              path: '"/token"'
              addRequestHeaders:
                content-type: '"application/x-www-form-urlencoded"'
                authorization: '"Basic " + base64.encode("client:secret")'
                :method: '"POST"'
              body: |
                form.encode({"subject_token": request.headers["authorization"].split(" ")[1]})
              metadata:
                token: json(response.body).access_token
                expires: unvalidatedJwtPayload(json(response.body).access_token).exp
        transformations:
          request: {set: {authorization: '"Bearer " + extauthz.token'}}
""",
}


@pytest.mark.parametrize("what", WRITTEN)
def test_documents_as_people_write_them(what: str) -> None:
    made = read(WRITTEN[what], {"KEY": "k"})
    assert made.binds and "routes" in made.summary
