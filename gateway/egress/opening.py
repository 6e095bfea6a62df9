"""Opening: a CONNECT that policy admits becomes a connection that we read, behind a certificate of
ours, or a tunnel that stays shut.

What has to be waited for comes before the 200: until then a refusal is an HTTP answer, which
clients show, and after it there is only TLS, which they do not.
"""

from typing import TYPE_CHECKING

from gateway.egress import chaining, connecting, forwarding, hosts, telling
from gateway.egress.config.model import Connect
from gateway.egress.dialing import dial
from gateway.egress.gathering import Gathered
from gateway.egress.needs import Pending, begun
from gateway.egress.refusals import Refusal, Refused
from gateway.egress.tunnel import Tunnel

if TYPE_CHECKING:
    import ssl

    from gateway.egress.ask import Ask
    from gateway.egress.client import ClientConnection
    from gateway.egress.config.model import Listener
    from gateway.egress.connecting import Opening
    from gateway.egress.policies import Policy


def connect(client: "ClientConnection", policy: "Policy", ask: "Ask") -> None:
    """Raises Refusal."""
    opening = connecting.connect(policy.document, ask)
    client.connect_fields = ask.fields
    if opening.passed is not None:
        client.decide(_pass(client, policy, opening, ask), "pass a CONNECT")
    elif not _open_at_once(client, policy, opening, ask):
        client.decide(_open(client, policy, opening, ask), "open a CONNECT")


def _open_at_once(
    client: "ClientConnection", policy: "Policy", opening: "Opening", ask: "Ask"
) -> bool:
    """False where a name has to be asked for, or a leaf to be made. Raises Refusal."""
    listener = opening.listener
    assert listener is not None
    if _is_all_dynamic(listener, ask.host):
        private, named = policy.document.private, _is_named(listener, ask.host)
        if client.parts.names.known(ask.host, private=private, is_named=named) is None:
            return False
    context = policy.fixed_context(listener)
    authority = policy.authority(listener)
    if authority is not None:
        context = authority.ready_leaf(ask.host)
        if context is None:
            return False
    _opened(client, opening, context)
    return True


async def _open(
    client: "ClientConnection", policy: "Policy", opening: "Opening", ask: "Ask"
) -> None:
    """A leaf first, then 200: what comes next is a handshake that must not wait for one."""
    listener = opening.listener
    assert listener is not None
    try:
        # Where every backend is where the actor says, its address is judged now, while it can
        # still be told by an HTTP answer.
        if _is_all_dynamic(listener, ask.host):
            private, named = policy.document.private, _is_named(listener, ask.host)
            await client.parts.names.reach(ask.host, private=private, is_named=named)
        context = policy.fixed_context(listener)
        authority = policy.authority(listener)
        if authority is not None:
            context = authority.ready_leaf(ask.host) or await authority.leaf(ask.host)
    except Refusal as refusal:
        client.decided()
        client.refuse_connect(refusal, f"{ask.host}:{ask.port}")
        return
    if not client.is_open:
        return
    _opened(client, opening, context)
    client.decided()
    client.read()


def _opened(
    client: "ClientConnection", opening: "Opening", context: "ssl.SSLContext | None"
) -> None:
    client.opening = opening
    client.establish()
    client.expires = client.parts.now + client.parts.budgets.head_s
    if context is None:
        return
    early = client.take_buffer()
    client.begin_tls(context, server=True)
    if early:
        client.data_received(early)


async def _pass(
    client: "ClientConnection", policy: "Policy", opening: "Opening", ask: "Ask"
) -> None:
    parts, to = client.parts, f"{opening.host}:{opening.port}"
    try:
        await _admit(client, policy, opening, ask)
        backend = opening.backend
        assert backend is not None
        if backend.chain is not None:
            await parts.secrets.ready([each.source for each in backend.chain.credentials])
        # Inside it is TLS already, or whatever it is: so it is a CONNECT to the proxy, too.
        way = chaining.way_to(backend, opening.host, opening.port, parts.secrets, tls=True)
        upstream = await dial(
            parts, policy, backend, way, key=None, host=opening.host, port=opening.port,
            tls=backend.tls is not None, is_named=opening.is_named,
        )  # fmt: skip
    except Refusal as refusal:
        client.decided()
        client.refuse_connect(refusal, f"{ask.host}:{ask.port}")
        return
    caller = client.caller
    # Meanwhile it may have left, or been suspended.
    if not client.is_open or caller is None or not caller.is_here():
        upstream.drop()
        client.abort()
        return
    began = parts.loop_time()

    def ended(bytes_out: int, bytes_in: int, why: str) -> None:
        client.user = None
        line = telling.line_of(
            client.caller, "fail" if why else "allow", way=ask.way, method=ask.method, to=to,
            reason=why, status=200, ms=round((parts.loop_time() - began) * 1000, 1),
            bytes_out=bytes_out, bytes_in=bytes_in,
        )  # fmt: skip
        telling.note(parts, policy, ask, line)

    client.establish()
    expected = None if policy.document.connect is not Connect.TUNNEL else ask.host
    tunnel = Tunnel(client, upstream, caller, ended=ended, expected=expected, moved=client.on_moved)
    client.decided(resume=False)
    client.become(tunnel)
    client.resume()


async def _admit(
    client: "ClientConnection", policy: "Policy", opening: "Opening", ask: "Ask"
) -> None:
    """By the policies of a route that a CONNECT is a request of. Raises Refusal."""
    if not opening.gates:
        return
    steps = begun(connecting.admitted(opening, ask, policy.decider.keyring))
    if isinstance(steps, Pending):
        await steps.finish(
            lambda need: client.parts.waiting.meet(need, client.parts, policy, ask, _no_body)
        )


async def _no_body(_most: int) -> Gathered:
    return Gathered(raw=b"", data=b"", rest=b"", is_whole=True)


def _is_all_dynamic(listener: "Listener", host: str) -> bool:
    routes = [each for each in listener.routes if hosts.covers(each.hostnames, host)]
    return bool(routes) and all(
        route.backends and all(each.host is None for each in route.backends) for route in routes
    )


def _is_named(listener: "Listener", host: str) -> bool:
    return any(forwarding.names(route.hostnames, host) for route in listener.routes)


def current(policy: "Policy", opening: "Opening", ask: "Ask") -> "Listener":
    """The listener as the document has it now: a tunnel that stays open gets no old rules. Raises
    Refusal."""
    listener = opening.listener
    assert listener is not None
    for bind in policy.document.binds:
        if listener in bind.listeners:
            return listener
    opened = connecting.connect(policy.document, ask)
    if opened.listener is None:
        raise Refusal(Refused.FORBIDDEN, f"{ask.host} is not opened any more: connect again")
    return opened.listener
