"""Idle connections, held against a small server of the test."""

import socketserver
import threading
from collections.abc import Iterator

import pytest

from loadtest.bench import idle


class Answers(socketserver.StreamRequestHandler):
    """Answers each request; closes at once where asked to by path."""

    def handle(self) -> None:
        closing = self.server.closing  # type: ignore[attr-defined] # set by the fixture
        while head := self.rfile.readline():
            while self.rfile.readline().strip():
                pass
            assert head == b"GET / HTTP/1.1\r\n"
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            if closing:
                return


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512
    closing = False


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Answers) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_every_connection_is_answered_and_stays_open(server: Server) -> None:
    with idle.held(server.server_address[1], 30, {}) as good:
        assert good == 30


def test_connections_that_the_proxy_closed_do_not_count_as_held(server: Server) -> None:
    server.closing = True
    with idle.held(server.server_address[1], 5, {}) as good:
        assert good == 0


def test_no_more_than_the_machine_allows() -> None:
    assert idle.affordable(10) == 10
    assert idle.affordable(10**9) < 10**9


def test_the_given_host_takes_the_place_of_ours() -> None:
    assert idle.ask(80, {"Host": "a.b"}) == b"GET / HTTP/1.1\r\nHost: a.b\r\n\r\n"
    assert b"Host: 127.0.0.1:80\r\n" in idle.ask(80, {})
