"""Who comes in, and what of the request goes on; on a real relay, that nothing is woken before."""

import hashlib
import re
from typing import Any

import pytest

from gateway.actor_tokens import ActorTokens, TokenKey
from gateway.ingress.auth.actor_passes import ActorPasses
from gateway.ingress.auth.carriers import CarrierNames, Carriers
from gateway.ingress.auth.gatekeeper import Gatekeeper, Policy
from gateway.ingress.auth.identity import Identity, Kind
from gateway.ingress.auth.jwts import JwtRules, JwtVerifier
from gateway.ingress.auth.static import StaticTokens
from gateway.ingress.codec.request import RequestHead, scan_request
from gateway.ingress.naming import EdgeNaming, Place
from gateway.ingress.seams import Reason, Refusal
from placement.model import ActorId
from tests.gateway.ingress.auth.signing import AUDIENCE, ISSUER, token
from tests.gateway.ingress.support import FakeUsher, actor, echo, read_answer, running

STATIC = b"static-token-0123456789-0123456789"
TOKENS = ActorTokens([TokenKey(id="k1", secret=b"s" * 32)])
PASS = TOKENS.mint(ActorId("demo", "a1"), expires=2**38).encode()
OTHERS_PASS = TOKENS.mint(ActorId("demo", "a2"), expires=2**38).encode()
SCOPES = "demo,open"


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Counting:
    """A verifier that knows one credential, ends at `until`, and counts its work."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.asked = 0

    def verify(self, credential: bytes, now: float) -> Identity | None:
        self.asked += 1
        if credential != b"counted" or now >= self.until:
            return None
        return Identity(kind=Kind.TOKEN, scopes=frozenset(("demo",)), until=self.until)


def keeper(*more: Any, clock: Clock | None = None, **rest: Any) -> Gatekeeper:
    static = StaticTokens()
    static.accept(f"ann sha256:{hashlib.sha256(STATIC).hexdigest()} {SCOPES}")
    policy = Policy(
        default=frozenset((Kind.TOKEN, Kind.ACTOR)),
        namespaces={"open": frozenset(), "strict": frozenset((Kind.JWT,))},
    )
    return Gatekeeper(
        policy=policy,
        carriers=Carriers(CarrierNames()),
        verifiers=(ActorPasses(TOKENS), *more, static),
        clock=clock or Clock(),
        **rest,
    )


def request(
    *fields: bytes,
    name: bytes = b"a1.demo",
    target: bytes = b"/",
    domain: bytes = b".actors.localhost",
) -> tuple[RequestHead, Place]:
    lines = (b"GET " + target + b" HTTP/1.1", b"Host: " + name + domain, *fields)
    head = scan_request(b"\r\n".join(lines) + b"\r\n\r\n")
    assert head is not None
    place = EdgeNaming().name(head.target, head.fields)
    assert isinstance(place, Place)
    return head, place


def reason_of(gatekeeper: Gatekeeper, head: RequestHead, place: Place) -> Reason:
    with pytest.raises(Refusal) as caught:
        gatekeeper.admit(head, place)
    assert caught.value.actor is None
    return caught.value.reason


def bearer(credential: bytes) -> bytes:
    return b"Authorization: Bearer " + credential


@pytest.mark.parametrize(
    "fields",
    [(), (bearer(b"wrong" * 8),), (b"Cookie: rouse-token=wrong",), (b"Authorization: Basic eDp5",)],
)
def test_without_a_genuine_credential_nobody_comes_in(fields: tuple[bytes, ...]) -> None:
    assert reason_of(keeper(), *request(*fields)) is Reason.UNAUTHENTICATED


@pytest.mark.parametrize("credential", [STATIC, PASS])
def test_a_genuine_one_comes_in_by_field_cookie_and_query(credential: bytes) -> None:
    more = b"Accept: text/html"
    for fields, target in (
        ((more, bearer(credential)), b"/p?a=1"),
        ((more, b"Cookie: rouse-token=" + credential), b"/p?a=1"),
        ((more,), b"/p?rouse_token=" + credential + b"&a=1"),
    ):
        head, place = keeper().admit(*request(*fields, target=target))
        assert head.fields.block == b"\r\nHost: a1.demo.actors.localhost\r\nAccept: text/html"
        assert (head.target, place.target) == (b"/p?a=1", None)


def test_the_query_is_cut_where_the_path_names_the_actor_too() -> None:
    target = b"/actors/demo/a1/p?rouse_token=" + PASS
    _, place = keeper().admit(*request(name=b"edge", domain=b"", target=target))
    assert place.target == b"/p" and place.prefix == b"/actors/demo/a1"


def test_a_genuine_one_for_elsewhere_is_forbidden() -> None:
    assert reason_of(keeper(), *request(bearer(OTHERS_PASS))) is Reason.FORBIDDEN
    assert reason_of(keeper(), *request(bearer(STATIC), name=b"a1.lab")) is Reason.FORBIDDEN


def test_of_several_genuine_ones_any_may_open_and_none_goes_on() -> None:
    cookies = b"Cookie: rouse-token=" + OTHERS_PASS + b"; rouse-token=" + PASS
    for fields in ((bearer(OTHERS_PASS), b"Cookie: rouse-token=" + PASS), (cookies,)):
        head, _ = keeper().admit(*request(*fields))
        assert b"rouse1" not in head.fields.block


def test_a_namespace_accepts_the_kinds_that_its_policy_says() -> None:
    wide = TOKENS.mint(ActorId("strict", "a1"), expires=2**38).encode()
    assert reason_of(keeper(), *request(bearer(wide), name=b"a1.strict")) is Reason.FORBIDDEN
    assert reason_of(keeper(), *request(name=b"a1.strict")) is Reason.UNAUTHENTICATED


def test_an_open_namespace_lets_all_in_and_still_takes_what_is_ours() -> None:
    theirs = b"Authorization: Bearer the-actors-own-affair"
    head, _ = keeper().admit(
        *request(theirs, b"Cookie: rouse-token=" + PASS + b"; a=1", name=b"a1.open")
    )
    assert theirs in head.fields.block and PASS not in head.fields.block
    head, _ = keeper().admit(*request(bearer(STATIC), name=b"a1.open"))
    assert STATIC not in head.fields.block


def test_an_actors_own_bearer_stays_beside_our_cookie() -> None:
    theirs = b"Authorization: Bearer the-actors-own-affair"
    head, _ = keeper().admit(*request(theirs, b"Cookie: rouse-token=" + PASS))
    assert head.fields.block.endswith(b"\r\n" + theirs) and PASS not in head.fields.block


def test_a_neighbours_cookie_does_not_lock_its_owner_out() -> None:
    for cookies in (b"rouse-token=junk; rouse-token=" + PASS, b"rouse-token=; rouse-token=" + PASS):
        head, _ = keeper().admit(*request(b"Cookie: " + cookies))
        assert b"Cookie" not in head.fields.block
    many = b"; ".join([b"rouse-token=junk"] * 4 + [b"rouse-token=" + PASS])
    assert reason_of(keeper(), *request(b"Cookie: " + many)) is Reason.UNAUTHENTICATED


def test_the_credential_goes_on_where_the_settings_say_so() -> None:
    given = request(bearer(STATIC), b"Cookie: rouse-token=" + PASS, target=b"/?rouse_token=x")
    head, _ = keeper(passes_on=True).admit(*given)
    assert (head.fields.block, head.target) == (given[0].fields.block, b"/?rouse_token=x")


def test_a_known_credential_is_not_verified_again_until_it_ends() -> None:
    clock, counting = Clock(), Counting(until=2_000.0)
    gatekeeper = keeper(counting, clock=clock)
    given = request(bearer(b"counted"))
    first, _ = gatekeeper.admit(*given)
    again, _ = gatekeeper.admit(*given)
    assert again.fields is first.fields  # so what is made of a block is made once
    gatekeeper.admit(*request(bearer(b"counted"), b"X-Other: 1", target=b"/?a=rouse_token"))
    assert counting.asked == 1
    clock.now = 2_000.0
    assert reason_of(gatekeeper, *given) is Reason.UNAUTHENTICATED


def test_a_credential_beside_a_genuine_one_is_looked_at_again_after_a_while() -> None:
    clock, counting = Clock(), Counting(until=0.0)
    gatekeeper = keeper(counting, clock=clock)
    given = request(bearer(b"counted"), b"Cookie: rouse-token=" + PASS)
    for _ in range(3):
        head, _place = gatekeeper.admit(*given)
        assert b"counted" in head.fields.block  # the actor's own, as far as anybody knows
    assert counting.asked == 1
    counting.until, clock.now = 2_000.0, clock.now + 5.0
    head, _place = gatekeeper.admit(*given)
    assert b"counted" not in head.fields.block


def test_what_is_forgotten_is_judged_anew() -> None:
    counting = Counting(until=2_000.0)
    gatekeeper = keeper(counting)
    given = request(bearer(b"counted"))
    gatekeeper.admit(*given)
    counting.until = 0.0  # taken out of its file
    gatekeeper.forget()
    assert reason_of(gatekeeper, *given) is Reason.UNAUTHENTICATED


def test_a_refused_credential_that_becomes_genuine_opens() -> None:
    counting = Counting(until=0.0)
    gatekeeper = keeper(counting)
    given = request(bearer(b"counted"))
    assert reason_of(gatekeeper, *given) is Reason.UNAUTHENTICATED
    counting.until = 2_000.0
    gatekeeper.admit(*given)


def test_what_is_remembered_is_bounded() -> None:
    gatekeeper = keeper()
    for number in range(5_000):
        gatekeeper.admit(*request(bearer(STATIC), b"X-N: %d" % number))
    assert len(gatekeeper._blocks) <= 4096
    large = b"X-Large: " + b"x" * 10_000
    gatekeeper.forget()
    gatekeeper.admit(*request(bearer(STATIC), large))
    assert not gatekeeper._blocks


def test_keys_that_are_away_are_no_verdict() -> None:
    away = JwtVerifier(JwtRules(issuer=ISSUER, audience=AUDIENCE))
    assert reason_of(keeper(away), *request(bearer(token()))) is Reason.UNAVAILABLE
    keeper(away).admit(*request(bearer(STATIC)))  # other kinds do not wait for them


# On a real relay ------------------------------------------------------------------------------


def get(*fields: bytes, name: bytes = b"a1.demo", target: bytes = b"/") -> bytes:
    host = b"Host: " + name + b".actors.localhost"
    return b"\r\n".join((b"GET " + target + b" HTTP/1.1", host, *fields)) + b"\r\n\r\n"


async def test_a29_nothing_is_asked_of_the_usher_without_a_credential() -> None:
    usher = FakeUsher(asleep=True)
    async with running(usher, gatekeeper=keeper()) as relay:
        reader, writer = await relay.connect()
        for fields in ((), (bearer(b"x" * 40),), (bearer(OTHERS_PASS),)):
            writer.write(get(*fields))
            status, head, _ = await read_answer(reader)
            assert status == (403 if fields == (bearer(OTHERS_PASS),) else 401)
            assert (b"\r\nWWW-Authenticate: Bearer" in head) == (status == 401)
        writer.write(
            b"POST / HTTP/1.1\r\nHost: a1.demo.actors.localhost\r\nContent-Length: 9\r\n\r\n"
        )
        assert (await read_answer(reader))[0] == 401
        writer.close()
    assert usher.admitted == 0 and not usher.demands and not usher.tickets


async def test_a71_an_unknown_actor_and_a_forbidden_one_answer_alike() -> None:
    known = Refusal(Reason.FAILED_START, "never seen by a stranger", actor=ActorId("demo", "a1"))
    usher = FakeUsher(refusal=known)
    async with running(usher, gatekeeper=keeper()) as relay:
        for fields in ((), (bearer(TOKENS.mint(ActorId("x", "y"), expires=2**38).encode()),)):
            answers = {
                re.sub(
                    rb"[0-9a-f]{28}",
                    b"ID",
                    await relay.talk(get(*fields, b"Connection: close", name=name)),
                )
                for name in (b"a1.demo", b"none-such.demo", b"a1.none-such", b"8080--a1.demo")
            }
            assert len(answers) == 1, answers
    assert usher.admitted == 0


async def test_the_actor_sees_all_but_the_credential_and_the_log_sees_none() -> None:
    async with actor(echo) as port:
        async with running(FakeUsher(port=port), gatekeeper=keeper()) as relay:
            reader, writer = await relay.connect()
            for number in range(2):
                fields = (b"Accept: a/b", bearer(PASS), b"Cookie: a=1; rouse-token=" + PASS)
                target = b"/p?rouse_token=" + PASS + b"&n=%d" % number
                writer.write(get(*fields, target=target))
                status, _, body = await read_answer(reader)
                assert status == 200 and PASS not in body
                assert body.startswith(b"GET /p?n=%d HTTP/1.1\r\nHost: a1.demo" % number)
                assert b"\r\nAccept: a/b\r\n" in body and b"\r\nCookie: a=1\r\n" in body
            writer.write(get(bearer(STATIC)))
            assert STATIC not in (await read_answer(reader))[2]
            writer.write(get())
            assert (await read_answer(reader))[0] == 401
            writer.close()
        log = b"".join(relay.log)
    assert log.count(b"\n") == 4 and PASS not in log and STATIC not in log and b"rouse1" not in log
