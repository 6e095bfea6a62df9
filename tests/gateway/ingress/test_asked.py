"""What is made of a request's head once: the text for the actor, and the access log's part."""

from gateway.ingress.asked import Asked, stem_of
from gateway.ingress.codec.request import RequestHead, scan_request
from gateway.ingress.naming import EdgeNaming, Place

HEAD = b"GET /x?q=1 HTTP/1.1\r\nHost: a1.demo.actors.localhost\r\n\r\n"


def head_of(text: bytes) -> RequestHead:
    head = scan_request(text)
    assert head is not None
    return head


def asked(text: bytes = HEAD, naming: EdgeNaming | None = None) -> tuple[Asked, Place]:
    head = head_of(text)
    place = (naming or EdgeNaming()).name(head.target, head.fields)
    assert isinstance(place, Place)
    return Asked(text, head, head, place, head.fields.block), place


def test_the_text_ends_where_the_request_id_goes() -> None:
    made, _ = asked()
    assert made.text == (b"GET /x?q=1 HTTP/1.1\r\nHost: a1.demo.actors.localhost\r\nX-Request-Id: ")


def test_a_path_is_cut_and_told_and_an_upgrade_asked_for_anew() -> None:
    made, _ = asked(
        b"GET /actors/demo/a1/ws HTTP/1.1\r\nHost: any\r\n"
        b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    assert made.text.startswith(b"GET /ws HTTP/1.1\r\n")
    assert b"\r\nX-Forwarded-Prefix: /actors/demo/a1\r\n" in made.text
    assert b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" in made.text


def test_http_1_0_without_host_goes_on_with_one() -> None:
    made, _ = asked(b"GET /actors/demo/a1/ HTTP/1.0\r\n\r\n")
    assert b"\r\nHost: demo.a1\r\n" in made.text


def test_it_is_for_equal_heads_to_the_same_place_alone() -> None:
    naming = EdgeNaming()
    made, place = asked(naming=naming)
    head = made.head
    assert made.is_for(head, place)
    cut = RequestHead(head.method, b"/x", head.minor, head.fields, head.size)
    assert not made.is_for(cut, place)  # a credential was cut out of its query
    assert not made.is_for(head_of(HEAD), place)  # fields of another look
    _, elsewhere = asked(HEAD.replace(b"a1.", b"a2."), naming)
    assert not made.is_for(head, elsewhere)


def test_p7_the_log_gets_no_query() -> None:
    made, _ = asked()
    told = made.tell(b"1.2.3.4")
    assert told == b'"client":"1.2.3.4","actor":"demo/a1","method":"GET","path":"/x"'
    assert made.tell(b"1.2.3.4") is told


def test_a_large_head_is_not_kept_by_an_idle_connection() -> None:
    assert asked()[0].is_kept
    assert not asked(HEAD[:-2] + b"Cookie: " + b"c" * 9000 + b"\r\n\r\n")[0].is_kept


def test_for_another_door_the_id_stays_last_behind_the_fields_of_the_hop() -> None:
    made, _ = asked()
    text = made.hop_text(b"Rouse-Actor: demo/a1\r\n")
    assert text == made.text.replace(b"X-Request", b"Rouse-Actor: demo/a1\r\nX-Request")
    assert made.hop_text(b"Rouse-Actor: demo/a1\r\n") is text
    assert made.hop_text(b"Rouse-Actor: demo/a2\r\n") != text


def test_a_stem_is_a_head_without_the_id_that_ends_it_and_of_other_heads_there_is_none() -> None:
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-Id: "
    assert stem_of(start + b"abc\r\n\r\n", b"abc") == start
    assert stem_of(start + b"abd\r\n\r\n", b"abc") == b""
    assert stem_of(start + b"abc\r\nServer: x\r\n\r\n", b"abc") == b""
    assert stem_of(start + b"\r\n\r\n", b"") == b""
