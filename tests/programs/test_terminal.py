"""A shell behind a WebSocket: the handshake to a sleeping one waits for the wake; the shell itself
goes on where memory is kept, its files do everywhere."""

import pytest

from tests.programs.sockets import hear, websocket
from tests.programs.stage import apply
from tests.system.product import Process

pytestmark = pytest.mark.system


@pytest.mark.timeout(300)
def test_a66_a_websocket_wakes_a_sleeping_shell_which_goes_on_where_memory_is_kept(
    up: Process, runtime: str
) -> None:
    shells = apply(up, "terminal", f"shells-{runtime}", runtime)
    with websocket(shells, "a", "/shell") as shell:
        shell.send("x=41; echo kept > file\n")
        shell.send("echo first-$((x+1))\n")
        hear(shell, lambda heard: "first-42" in heard)
    for turn in range(2):
        shells.suspend("a")
        with websocket(shells, "a", "/shell") as shell:
            assert shell.response is not None
            assert shell.response.headers["rouse-wake"].startswith("cold; ")
            # What the other one typed is told first, where it is the same shell.
            shell.send(f"cat file; echo turn-{turn}-$((x+1))\n")
            expected = f"turn-{turn}-{42 if runtime == 'gvisor' else 1}"
            heard = hear(shell, lambda heard, expected=expected: expected in heard)  # type: ignore[misc]
            assert "kept" in heard.splitlines()
            assert ("first-42" in heard) == (runtime == "gvisor")


def test_a_shell_that_ends_lets_its_actor_sleep_and_the_next_visitor_gets_another(
    up: Process,
) -> None:
    shells = apply(up, "terminal", "shells-ended", "bubblewrap")
    with websocket(shells, "a", "/shell") as shell:
        shell.send("echo told; echo kept > file; exit\n")
        assert "told" in "".join(m.decode() for m in shell if isinstance(m, bytes))
    shells.asleep("a")
    with websocket(shells, "a", "/shell") as shell:
        shell.send("cat file\n")
        hear(shell, lambda heard: "kept" in heard)
