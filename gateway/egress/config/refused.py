"""What agentgateway knows and we do not do, by form: refused by name, never ignored."""

from typing import Any

from gateway.egress.config import backend_forms, forms, llm_forms, policy_forms, shapes

_GATE = "oidc extProc mcpAuthentication"
_ROUTE = (
    "requestMirror mcpAuthorization mcpAuthentication mcpGuardrails mcp a2a oidc extProc "
    "remoteRateLimit csrf buffer inferenceRouting conditional"
)
_BACKEND = (
    "health sessionAffinity inferenceRouting mcpAuthorization mcpAuthentication mcpGuardrails mcp "
    "a2a"
)
_TLS = "insecure insecureHost spiffe"
_CONFIG = (
    "adminAddr statsAddr readinessAddr enableIpv6 dns xdsAddress caAddress network clusterId "
    "serviceAccount trustDomain additionalTrustDomains skipValidateTrustDomain namespace gateway "
    "tracing hbone workerThreads connectionTerminationDeadline connectionMinTerminationDeadline "
    "session database storage backend localXdsPath caAuthToken xdsAuthToken spiffe "
    "standardAttributes histograms mcp sensitiveHeaders customFunctions"
)
_LLM_SHARED = "health promptCaching finalTransformation guardrails"
_PRESETS = (
    "gemini vertex bedrock azure copilot cohere ollama baseten cerebras deepinfra deepseek groq "
    "huggingface mistral openrouter togetherai xai fireworks"
)

REFUSED: dict[type[Any], frozenset[str]] = {
    form: frozenset(names.split())
    for form, names in {
        forms.DocumentForm: "policies routeGroups services workloads mcp ui",
        forms.ConfigForm: _CONFIG,
        forms.LoggingForm: "database",
        forms.FrontendForm: "http tls tcp proxy proxyProtocol networkExtAuthz logging tracing",
        forms.AccessLogForm: "otlp database",
        forms.GatewayForm: f"{_GATE} policies",
        forms.TlsForm: "spiffe",
        policy_forms.GateForm: _GATE,
        policy_forms.PoliciesForm: _ROUTE,
        policy_forms.BackendPoliciesForm: _BACKEND,
        policy_forms.SimplePoliciesForm: "transformations tcp backendTunnel",
        policy_forms.TcpPoliciesForm: "backendTunnel",
        policy_forms.BackendTlsForm: _TLS,
        policy_forms.BackendAuthForm: (
            "aws gcp azure copilot jwtSign oauthTokenExchange crossAppAccess"
        ),
        policy_forms.TransformationsForm: "conditional",
        policy_forms.DirectForm: "conditional",
        policy_forms.ExtAuthzForm: "service conditional",
        policy_forms.AuthzProtocolForm: "grpc",
        policy_forms.TunnelProxyForm: "service",
        policy_forms.HeadersForm: "replace body metadata",
        policy_forms.AiPolicyForm: (
            "promptGuard prompts promptCaching transformations finalTransformations"
        ),
        backend_forms.ProviderForm: "gemini vertex bedrock azure copilot",
        backend_forms.ModelForm: "moderation",
        backend_forms.DynamicForm: "target",
        backend_forms.BackendForm: "service mcp aws routeGroup internal",
        backend_forms.NamedBackendForm: "service mcp aws internal dynamic",
        backend_forms.TcpBackendForm: "service",
        llm_forms.LlmForm: "virtualModels tls",
        llm_forms.LlmModelForm: f"{_LLM_SHARED} visibility passthrough id",
        llm_forms.SharedForm: _LLM_SHARED,
        llm_forms.ParamsForm: (
            "awsRegion vertexRegion vertexProject azureResourceName azureResourceType "
            "azureApiVersion azureProjectName"
        ),
        llm_forms.LlmPoliciesForm: "oidc extProc extAuthz guardrails remoteRateLimit",
        shapes.LocationForm: "expression",
    }.items()
}
"""`dynamic.target`, and `replace`, `body` and `metadata` of transformations, are for later."""

REFUSED_VALUES: dict[tuple[type[Any], str], frozenset[str]] = {
    (forms.BindForm, "tunnelProtocol"): frozenset(("hboneWaypoint", "hboneGateway", "proxy")),
    (forms.ListenerForm, "protocol"): frozenset(("TCP", "HBONE", "AUTO")),
    (forms.GatewayForm, "protocol"): frozenset(("TCP", "HBONE", "AUTO")),
    (forms.LoggingForm, "format"): frozenset(("text",)),
    (llm_forms.LlmModelForm, "provider"): frozenset(_PRESETS.split()),
    (llm_forms.LlmProviderForm, "provider"): frozenset(_PRESETS.split()),
    (policy_forms.AiPolicyForm, "routes"): frozenset(
        ("realtime", "rerank", "generateContent", "anthropicTokenCount", "geminiCountTokens")
    ),
    (policy_forms.PoliciesForm, "backendAuth"): frozenset(("copilot",)),
    (policy_forms.BackendPoliciesForm, "backendAuth"): frozenset(("copilot",)),
}
