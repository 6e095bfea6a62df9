"""The product under load: started apart as a user starts it, with its own data and ports."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Self

READY_WITHIN_S = 60.0
ENDS_WITHIN_S = 90.0
"""It suspends every actor first."""
LOG_TAIL = 4000


class ProductFailed(Exception):
    """It did not start, or did not end well; the message holds the end of its log."""


def free_ports(count: int) -> list[int]:
    """Ports nobody listens on now. Another may take one before we do: then the start fails."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [sock.getsockname()[1] for sock in sockets]
    for sock in sockets:
        sock.close()
    return ports


class Product:
    """`rouse up` for as long as the `with` lasts."""

    def __init__(
        self,
        data: Path,
        *,
        rouse: Path,
        runtime: str,
        slots: int,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        edge, admin = free_ports(2)
        self.edge_url = f"http://127.0.0.1:{edge}"
        self.admin_url = f"http://127.0.0.1:{admin}"
        self.data = data / "data"
        self._log = data / "rouse.log"
        self._command = [str(rouse), "up", "--listen", f"127.0.0.1:{edge}"]
        self._command += ["--admin", f"127.0.0.1:{admin}", "--data", str(self.data)]
        self._command += ["--runtime", runtime, "--slots", str(slots)]
        self._environ = {**os.environ, **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environ,
                # An interrupt of the load test must not reach the product by the terminal, too.
                start_new_session=True,
            )
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self._end(self._process)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and (status := self._end(self._process)) != 0:
            raise ProductFailed(f"it ended with status {status}:\n{self._log_tail()}")

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        ends = time.monotonic() + READY_WITHIN_S
        while process.poll() is None:
            if is_ready(self.admin_url):
                return
            if time.monotonic() > ends:
                raise ProductFailed(f"not ready in {READY_WITHIN_S:.0f} s:\n{self._log_tail()}")
            time.sleep(0.05)
        raise ProductFailed(f"it ended at once, status {process.returncode}:\n{self._log_tail()}")

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        process.terminate()
        try:
            return process.wait(ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise ProductFailed(
                f"it had not ended {ENDS_WITHIN_S:.0f} s after SIGTERM:\n{self._log_tail()}"
            ) from None

    def _log_tail(self) -> str:
        with self._log.open("rb") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_TAIL))
            return log.read().decode(errors="replace")


def is_ready(admin_url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{admin_url}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def installed() -> Path:
    """The command beside the interpreter that runs this."""
    return Path(sys.executable).parent / "rouse"


def compiled() -> dict[str, str]:
    """The environment in which that command takes the packages that `make compiled` has made.
    Raises ProductFailed when it has not."""
    packages = Path(sys.prefix) / "compiled"
    if not any((packages / "gateway" / "ingress").glob("exchange.*.so")):
        raise ProductFailed("the compiled relay is not there: make compiled")
    return {"PYTHONPATH": str(packages)}
