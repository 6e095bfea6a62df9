"""Dialing: a backend's name resolved and judged, and a connection to it made in the way that its
policies say."""

from typing import TYPE_CHECKING

from gateway.egress import resolving

if TYPE_CHECKING:
    from gateway.egress.config.model import Backend
    from gateway.egress.parts import Parts
    from gateway.egress.policies import Policy
    from gateway.egress.upstream import Upstream, Way


async def dial(
    parts: "Parts",
    policy: "Policy",
    backend: "Backend",
    way: "Way",
    *,
    key: object,
    host: str,
    port: int,
    tls: bool,
    is_named: bool,
) -> "Upstream":
    """Raises Refusal."""
    private = policy.document.private
    context, name = None, host
    if tls:
        wanted = backend.tls
        context = policy.contexts.of(wanted) if wanted else policy.contexts.system
        name = (wanted.hostname if wanted else None) or host
    addresses: tuple[str, ...]
    if way.unix is not None:
        addresses = (way.unix,)
    elif way.proxy is None:
        addresses = await parts.names.reach(host, private=private, is_named=is_named)
    else:
        # The proxy resolves the name, and where the proxy is the document itself says.
        resolving.check_literal(host, private, is_named=is_named)
        addresses = await parts.names.reach(way.proxy[0], is_named=True)
    return await parts.upstreams.connect(key, addresses, port, context, name, way)
