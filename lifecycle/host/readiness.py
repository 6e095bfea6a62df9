"""Wait until a program that was just started answers. Probes often at first: the first answer to a
client follows readiness at once (A52), and a probe is no activity (A33)."""

import asyncio
import contextlib
import os

from lifecycle.errors import StartFailed
from lifecycle.templates import Readiness, Template
from runtimes.base import Driver, Endpoint, Handle

_FIRST_PAUSE_S = 0.002
_LONGEST_PAUSE_S = 0.05
_PROBE_S = 2.0
"""One probe's own limit: a program may accept and answer later, a hung one must not hold us."""
_CONNECT_S = 0.1
"""A SYN that was lost while the sandbox's loopback came up is sent again by the kernel only after
a second: a new connect is sooner."""


class NotReady(Exception):
    """It did not answer as its template says within its time; the message tells the last try."""


async def answers_at_once(template: Template, endpoints: dict[str, Endpoint]) -> bool:
    """One connect: where the program does not listen yet, that is known at once. What is prepared
    (restored, forked from a running one) listens from its first moment, and needs no watching."""
    rule = template.readiness
    if rule.path is not None:
        return False
    try:
        async with asyncio.timeout(_CONNECT_S):
            return not await _probe(_endpoint(rule, endpoints), rule, template)
    except OSError:
        return False


def _endpoint(rule: Readiness, endpoints: dict[str, Endpoint]) -> Endpoint:
    return endpoints[rule.port] if rule.port else next(iter(endpoints.values()))


async def until_ready(driver: Driver, template: Template, handle: Handle, who: str) -> None:
    """Raises StartFailed when the program ends or stays mute for its readiness time."""
    deadline = asyncio.get_running_loop().time() + template.readiness.timeout_s
    endpoints = dict(handle.endpoints)
    if await answers_at_once(template, endpoints):
        return
    async with asyncio.TaskGroup() as group:
        exited = group.create_task(driver.wait(handle), name=f"early exit of {who}")
        probed = group.create_task(_late(template, endpoints, deadline), name=f"readiness of {who}")
        try:
            await asyncio.wait({exited, probed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            exited.cancel()
            probed.cancel()
    if not probed.cancelled() and (late := probed.result()) is not None:
        raise StartFailed(f"{who} was not ready in {template.readiness.timeout_s:g} s: {late}")
    if not exited.cancelled():
        raise StartFailed(f"{who} {exited.result()} before it was ready")


async def _late(
    template: Template, endpoints: dict[str, Endpoint], deadline: float
) -> NotReady | None:
    """An error is a result here: raised inside the group it would arrive wrapped."""
    try:
        await wait_ready(template, endpoints, deadline)
    except NotReady as error:
        return error
    return None


async def wait_ready(template: Template, endpoints: dict[str, Endpoint], deadline: float) -> None:
    """Return at the first good answer. Raises NotReady at `deadline` (loop time)."""
    rule = template.readiness
    endpoint = _endpoint(rule, endpoints)
    loop = asyncio.get_running_loop()
    pause = _FIRST_PAUSE_S
    said = ""
    while True:
        last = await _tried(endpoint, template, deadline)
        if not last:
            return
        # A look that the deadline cut short tells nothing that the one before did not tell.
        said = said if said and loop.time() + _FIRST_PAUSE_S >= deadline else last
        if loop.time() + pause >= deadline:
            what = f"GET {rule.path}" if rule.path else "a connection"
            raise NotReady(f"{what} on port {endpoint.declared}: {said}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)


async def probe(template: Template, endpoints: dict[str, Endpoint]) -> str:
    """One look at a program that was ready: empty when it answers, else what was wrong."""
    port = template.readiness.port
    endpoint = endpoints[port] if port else next(iter(endpoints.values()))
    return await _tried(endpoint, template, float("inf"))


async def _tried(endpoint: Endpoint, template: Template, deadline: float) -> str:
    try:
        until = min(deadline, asyncio.get_running_loop().time() + _PROBE_S)
        async with asyncio.timeout_at(until):
            return await _probe(endpoint, template.readiness, template)
    except TimeoutError:
        return "no answer"
    except OSError as error:
        # Not the error's own words: asyncio puts the address into them (R31).
        return os.strerror(error.errno) if error.errno else type(error).__name__


async def _probe(endpoint: Endpoint, rule: Readiness, template: Template) -> str:
    """One try: empty when good, else what was wrong."""
    loop = asyncio.get_running_loop()
    sock = endpoint.open_socket()
    try:
        async with asyncio.timeout(_CONNECT_S):
            await loop.sock_connect(sock, endpoint.sockaddr)
        if rule.path is None:
            return ""
        host = f"{template.name}.{template.namespace}"
        ask = f"GET {rule.path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        await loop.sock_sendall(sock, ask.encode("ascii"))
        return _judge(await _first_line(sock))
    finally:
        with contextlib.suppress(OSError):
            sock.close()


async def _first_line(sock: object) -> bytes:
    loop = asyncio.get_running_loop()
    line = b""
    while b"\n" not in line and len(line) < 1024:
        more = await loop.sock_recv(sock, 1024)  # type: ignore[arg-type] # a socket.socket
        if not more:
            break
        line += more
    return line.partition(b"\n")[0].strip()


def _judge(line: bytes) -> str:
    """RFC 9112 section 4: `HTTP/1.x 2xx ...`; 2xx and 3xx are good, as in Kubernetes."""
    parts = line.split(b" ", 2)
    if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
        return "closed without an answer" if not line else "an answer that is not HTTP/1.x"
    status = int(parts[1])
    return "" if 200 <= status < 400 else f"status {status}"
