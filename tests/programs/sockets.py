"""WebSockets of a real client to an actor, by its host name."""

import contextlib
import socket
from collections.abc import Callable, Iterator

from websockets.sync.client import ClientConnection, connect

from tests.programs.stage import PATIENCE_S, Example


@contextlib.contextmanager
def websocket(example: Example, actor: str, path: str) -> Iterator[ClientConnection]:
    """The name need not be resolved here: the connection is made to the edge."""
    where = example.up.host(actor, example.ns)["Host"]
    edge = socket.create_connection(("127.0.0.1", example.up.edge), PATIENCE_S)
    with connect(f"ws://{where}{path}", sock=edge, open_timeout=PATIENCE_S) as made:
        yield made


def hear(connection: ClientConnection, is_it: Callable[[str], bool]) -> str:
    """All that comes, until that is it."""
    heard = ""
    while not is_it(heard):
        said = connection.recv(PATIENCE_S)
        heard += said if isinstance(said, str) else said.decode(errors="replace")
    return heard
