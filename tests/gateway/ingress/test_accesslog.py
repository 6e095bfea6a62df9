"""Lines of the access log: whole JSON whatever a client sends, and nothing that was secret."""

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.ingress.accesslog import AccessLog, told_request
from gateway.ingress.seams import WakeReport


def add(
    log: AccessLog,
    target: bytes = b"/x",
    reason: str = "",
    repeats: int = 0,
    wake: WakeReport | None = None,
) -> None:
    request = told_request(b"127.0.0.1", b"demo/a1", b"GET", target)
    log.add(b"r1", request, 200, b"actor", 0.0125, 1, 2, reason, repeats, wake)


def only_line(written: list[bytes]) -> dict[str, object]:
    (text,) = written
    assert text.endswith(b"}\n") and text.count(b"\n") == 1
    parsed = json.loads(text)
    assert isinstance(parsed, dict)
    return parsed


def line(
    target: bytes = b"/x", reason: str = "", repeats: int = 0, wake: WakeReport | None = None
) -> dict[str, object]:
    written: list[bytes] = []
    log = AccessLog(written.append)
    add(log, target, reason, repeats, wake)
    assert written == []
    log.flush()
    log.flush()
    return only_line(written)


def test_a_line_tells_the_request() -> None:
    told = line()
    assert str(told.pop("ts")).endswith("Z")
    assert told == {
        "request_id": "r1",
        "client": "127.0.0.1",
        "actor": "demo/a1",
        "method": "GET",
        "path": "/x",
        "status": 200,
        "source": "actor",
        "took_ms": 12.5,
        "in": 1,
        "out": 2,
    }


def test_a81_a_wake_is_told_with_its_total() -> None:
    told = line(wake=WakeReport(kind="cold", phases=(("total", 84.21),)))
    assert (told["wake"], told["wake_ms"]) == ("cold", 84.2)


def test_p7_the_query_is_not_logged() -> None:
    told = line(target=b"/x?token=s3cret", reason="broken", repeats=2)
    assert told["path"] == "/x" and "s3cret" not in str(told)
    assert (told["reason"], told["repeats"]) == ("broken", 2)


@given(st.binary(max_size=50))
def test_any_path_leaves_one_whole_line(path: bytes) -> None:
    told = line(target=b"/" + path.replace(b"?", b""))
    assert str(told["path"]).startswith("/")


def test_many_lines_go_out_in_one_piece_without_a_flush() -> None:
    written: list[bytes] = []
    log = AccessLog(written.append)
    for _ in range(300):
        add(log)
    assert len(written) == 1
