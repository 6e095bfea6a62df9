"""The ways to name an actor, and what is no name."""

import pytest

from gateway.ingress.codec.request import scan_fields
from gateway.ingress.naming import EdgeNaming, Place, Redirect
from gateway.ingress.seams import Reason, Refusal
from placement.model import ActorId

A1 = ActorId("demo", "a1")


def name(
    host: str, target: bytes = b"/x", *, more: bytes = b"", naming: EdgeNaming | None = None
) -> Place | Redirect:
    fields = scan_fields(b"\r\nHost: " + host.encode() + more)
    return (naming or EdgeNaming()).name(target, fields)


def place(*args: object, **more: object) -> Place:
    found = name(*args, **more)  # type: ignore[arg-type]  # passed through
    assert isinstance(found, Place)
    return found


@pytest.mark.parametrize(
    "host",
    ["a1.demo.actors.localhost", "A1.Demo.ACTORS.localhost:8080", "a1.demo.actors.localhost.:80"],
)
def test_a42_a_host_names_an_actor(host: str) -> None:
    found = place(host)
    assert (found.demand.actor, found.demand.port, found.target) == (A1, "", None)
    assert found.actor == b"demo/a1"


def test_a42_a_host_may_name_a_port_and_lie_under_any_base_domain() -> None:
    naming = EdgeNaming(base_domains=("actors.localhost", "run.example.com"))
    found = place("8888--a1.demo.run.example.com", naming=naming)
    assert (found.demand.actor, found.demand.port) == (A1, "8888")
    assert place("http--a1.demo.actors.localhost", naming=naming).demand.port == "http"


def test_an_equal_host_is_looked_at_once() -> None:
    naming = EdgeNaming(remembered=2)
    first = place("a1.demo.actors.localhost", naming=naming)
    assert place("a1.demo.actors.localhost", b"/y", naming=naming) is first
    for number in range(5):
        place(f"b{number}.demo.actors.localhost", naming=naming)
    assert "2 hosts" in repr(naming) or "1 hosts" in repr(naming)


def test_a42_a_path_names_an_actor_and_is_cut() -> None:
    found = place("gw", b"/actors/demo/a1/x/y?q")
    assert (found.demand.actor, found.target) == (A1, b"/x/y?q")
    assert found.prefix == b"/actors/demo/a1"


@pytest.mark.parametrize("query", [b"", b"?a=b"])
def test_a_path_without_its_slash_is_redirected(query: bytes) -> None:
    found = name("gw", b"/actors/demo/a1" + query)
    assert found == Redirect(location=b"/actors/demo/a1/" + query)


def test_a42_fields_name_an_actor_only_where_switched_on() -> None:
    more = b"\r\nX-Sandbox-ID: a1\r\nX-Sandbox-Namespace: demo\r\nX-Sandbox-Port: 8080"
    found = place("router", more=more, naming=EdgeNaming(by_fields=True))
    assert (found.demand.actor, found.demand.port) == (A1, "8080")
    with pytest.raises(Refusal):
        name("router", more=more)


@pytest.mark.parametrize(
    ("host", "target", "reason"),
    [
        ("gw", b"/", Reason.NO_ACTOR),
        ("actors.localhost", b"/", Reason.NO_ACTOR),
        ("evilactors.localhost", b"/", Reason.NO_ACTOR),
        ("a1.actors.localhost", b"/", Reason.BAD_NAME),
        ("x.a1.demo.actors.localhost", b"/", Reason.BAD_NAME),
        ("a_1.demo.actors.localhost", b"/", Reason.BAD_NAME),
        ("-a.demo.actors.localhost", b"/", Reason.BAD_NAME),
        ("99999--a1.demo.actors.localhost", b"/", Reason.NO_PORT),
        ("gw", b"/actors/demo", Reason.BAD_NAME),
        ("gw", b"/actors/demo/A1/", Reason.BAD_NAME),
        ("gw", b"/actors/demo/a%2f1/", Reason.BAD_NAME),
        ("gw", b"/actors/../x/", Reason.BAD_NAME),
        ("gw", b"/actors/de:mo/x/", Reason.BAD_NAME),
    ],
)
def test_what_is_no_name_is_refused(host: str, target: bytes, reason: Reason) -> None:
    with pytest.raises(Refusal) as caught:
        name(host, target)
    assert caught.value.reason is reason


def test_of_two_base_domains_the_nearer_one_counts() -> None:
    naming = EdgeNaming(base_domains=("example.com", "run.example.com"))
    assert place("a1.demo.run.example.com", naming=naming).demand.actor == A1
    assert place("a1.demo.example.com", naming=naming).demand.actor == A1
