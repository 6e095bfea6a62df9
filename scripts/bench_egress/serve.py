"""The egress proxy by itself, as one worker runs it, for one actor that is always here."""

import asyncio
import os
import socket
import sys
from pathlib import Path

from gateway.egress.ask import Actor
from gateway.egress.audit import Audit
from gateway.egress.certs import make_authority
from gateway.egress.credentials.fetching import fetch
from gateway.egress.credentials.secrets import Secrets
from gateway.egress.metering.meters import Metering
from gateway.egress.parts import Parts
from gateway.egress.policies import Policies
from gateway.egress.proxy import Proxy
from gateway.egress.resolving import Names
from gateway.wiring.running import new_loop

TOKEN = "bench-token"


class Bencher:
    actor = Actor(namespace="bench", name="a1")
    key = "rouse-bench-1"

    def is_here(self) -> bool:
        return True

    def begin_call(self) -> None:
        pass

    def end_call(self) -> None:
        pass

    def touch(self) -> None:
        pass

    def by_token(self, token: str) -> "Bencher | None":
        return self if token == TOKEN else None


async def main(directory: Path, port: int) -> None:
    """`directory` holds egress.yaml; the CA and the log go there too."""
    ours = (directory / "ca.crt", directory / "ca.key")
    make_authority(*ours)
    secrets = Secrets(os.environ, fetch)
    files = {"default": directory / "egress.yaml"}
    policies = Policies(files, secrets, environ=os.environ, ours=ours)
    policies.load()
    proxy = Proxy(
        Parts(
            callers=Bencher(),
            policies=policies,
            secrets=secrets,
            names=Names(),
            audit=Audit(directory / "egress.log"),
            metering=Metering(),
        )
    )
    sock = socket.create_server(("127.0.0.1", port))
    async with asyncio.TaskGroup() as group:
        group.create_task(proxy.run(), name="proxy")
        await proxy.listen(sock)
        print("up", flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop()) as runner:
        runner.run(main(Path(sys.argv[1]), int(sys.argv[2])))
