"""Records of the seam to a sandbox; what drivers promise is in tests/contract/driver.py."""

import socket
from pathlib import Path

import msgspec
import pytest

from runtimes.base import Endpoint, Exit, Handle, RuntimeClass, SandboxSpec

HANDLE = Handle(
    runtime=RuntimeClass.PROCESS,
    actor="demo/c1",
    uid="0123456789abcdef",
    epoch=3,
    pid=12,
    started=345,
    endpoints={"http": Endpoint(host="127.0.0.1", port=20001, declared=8080)},
    directory=Path("/somewhere/run"),
)


def test_handle_survives_as_json() -> None:
    assert Handle.from_json(HANDLE.to_json()) == HANDLE


def test_a_handle_that_is_not_one_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        Handle.from_json(HANDLE.to_json().replace(b'"pid":12', b'"pid":"twelve"'))


def test_spec_and_handle_of_one_copy_have_one_slug() -> None:
    spec = SandboxSpec(
        actor="demo/c1",
        uid="0123456789abcdef",
        epoch=3,
        directory=Path("/somewhere"),
        command=("true",),
        working_dir=None,
        env={},
        ports={},
        durable={},
        log=Path("/somewhere/log"),
    )
    assert spec.slug == HANDLE.slug == "rouse-0123456789abcdef-3"


def test_sockets_of_an_endpoint_never_block() -> None:
    with HANDLE.endpoints["http"].open_socket() as made:
        assert not made.getblocking()
        assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (Exit(code=3), "exited with status 3"),
        (Exit(signal=9), "killed by signal 9"),
        (Exit(signal=9, oom=True), "killed: out of memory"),
        (Exit(), "ended, status unknown"),
    ],
)
def test_an_exit_says_how(how: Exit, words: str) -> None:
    assert str(how) == words
