"""A plan: all that is known of a request before it is sent, credentials in; used again as it is for
an equal head, until a secret, the document or the actor changes. Holds secrets: has no repr.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.egress import chaining, heads
from gateway.egress.ask import Ask, Fields
from gateway.egress.config.model import Credential, Source
from gateway.egress.credentials import placing, signing
from gateway.egress.credentials.secrets import Secrets, SecretUnavailable, unavailable
from gateway.egress.deciding import Decider
from gateway.egress.forwarding import Forward
from gateway.egress.refusals import Refusal, Refused
from gateway.egress.upstream import STRAIGHT, Way
from lifecycle.trust import is_loopback

if TYPE_CHECKING:
    from gateway.egress.parts import Parts

LARGEST_SIGNED = 1024 * 1024
"""A body that has to be signed is held as a whole, up to this."""


@dataclass(slots=True, kw_only=True, repr=False, eq=False)
class Plan:
    forward: Forward
    head: bytes
    ask: Ask
    version: int
    """Of the secrets that are in `head`."""
    is_repeatable: bool
    """The method may be sent again when a kept connection was closed under it."""
    key: tuple[object, ...]
    """Of the connections that it may go over."""
    decider: Decider
    signs: Credential | None = None
    """Its signature is over the body, so the head is made when that is known."""
    upgrade: str = ""
    body: bytes | None = None
    """What goes on in place of the request's own."""
    way: Way = STRAIGHT


_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))


def sources_of(credential: Credential) -> tuple[Source, ...]:
    if credential.aws is None:
        return (credential.source,)
    aws = credential.aws
    token = () if aws.session_token is None else (aws.session_token,)
    return (aws.access_key_id, aws.secret_access_key, *token)


def needed(forward: Forward) -> list[Source]:
    chain = forward.backend.chain
    credentials = [*forward.credentials, *(() if chain is None else chain.credentials)]
    return [source for each in credentials for source in sources_of(each)]


def make(
    forward: Forward,
    ask: Ask,
    secrets: Secrets,
    *,
    caller: str,
    decider: Decider,
    upgrade: str = "",
) -> Plan:
    """Raises Refusal."""
    fields, target, signs = forward.fields, forward.target, None
    version = secrets.version
    for credential in forward.credentials:
        if credential.placeholder is not None and not placing.is_placed(
            fields, target, credential.placeholder
        ):
            continue
        _check_way(forward, credential)
        if credential.aws is not None:
            signs = credential
            continue
        try:
            secret = secrets.value(credential.source)
        except SecretUnavailable as error:
            raise unavailable(credential.name, error) from None
        fields, target = placing.place(fields, target, credential, secret, forward.backend.provider)
    backend = forward.backend
    way = chaining.way_to(backend, forward.host, forward.port, secrets, tls=forward.tls)
    if backend.chain is not None and not forward.tls:
        fields, target = chaining.plain(backend.chain, fields, forward.authority, target, secrets)
    made = Plan(
        forward=forward,
        head=b"",
        ask=ask,
        version=version,
        is_repeatable=forward.method in _IDEMPOTENT,
        key=(caller, forward.host, forward.port, forward.tls, forward.backend.tls, way),
        decider=decider,
        signs=signs,
        upgrade=upgrade,
        body=forward.body,
        way=way,
    )
    made.forward.fields, made.forward.target = fields, target
    if forward.body is not None:
        made.forward.fields = framed(fields, len(forward.body))
    if signs is None or not signing.needs_body(_service(signs), fields):
        made.head = head_of(made, None, secrets)
    elif forward.body is not None:
        made.head = head_of(made, forward.body, secrets)
    return made


async def again(plan: Plan, parts: "Parts", caller: str) -> Plan:
    """For another try: to another backend of its group, if there is one. Raises Refusal."""
    forward = plan.decider.again(plan.forward, parts.loop_time())
    if forward is None:
        return plan
    await parts.secrets.ready(needed(forward))
    return make(
        forward, plan.ask, parts.secrets, caller=caller, decider=plan.decider, upgrade=plan.upgrade
    )


def framed(fields: Fields, size: int) -> Fields:
    fields = heads.without(fields, ("transfer-encoding", "content-length", "trailer"))
    return heads.set_field(fields, "content-length", str(size))


def head_of(plan: Plan, body: bytes | None, secrets: Secrets) -> bytes:
    """Raises Refusal."""
    forward, fields = plan.forward, plan.forward.fields
    if plan.signs is not None and plan.signs.aws is not None:
        aws = plan.signs.aws
        try:
            token = None if aws.session_token is None else secrets.value(aws.session_token)
            fields = signing.sign(
                forward.method,
                f"{'https' if forward.tls else 'http'}://{forward.authority}{forward.target}",
                fields,
                body,
                keys=(
                    secrets.value(aws.access_key_id),
                    secrets.value(aws.secret_access_key),
                    token,
                ),
                service=aws.service,
                region=aws.region,
            )
        except SecretUnavailable as error:
            raise unavailable(plan.signs.name, error) from None
        except ValueError as error:
            raise Refusal(Refused.CREDENTIAL, str(error)) from None
    return heads.to_bytes(
        forward.method, forward.target, forward.authority, fields, upgrade=plan.upgrade
    )


def _service(credential: Credential) -> str:
    return "" if credential.aws is None else credential.aws.service


def _check_way(forward: Forward, credential: Credential) -> None:
    """Nothing secret in the clear: but within this machine, or where the document says so."""
    if forward.tls or credential.plain_http or is_loopback(forward.host):
        return
    raise Refusal(
        Refused.FORBIDDEN, f"the credential {credential.name} goes over TLS only: use https"
    )
