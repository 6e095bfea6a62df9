"""The CLI as a shell runs it, against the served admin application."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from gateway.cli import worker
from gateway.cli.app import make_app, run
from tests.fake_worker import FakeFleet
from tests.gateway.control.serving import Admin, fleet, serving

__all__ = ["fleet"]


@dataclass(frozen=True, kw_only=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # whatever the command printed
        return msgspec.json.decode(self.out)


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Runs client commands in this process; `served` is what they talk to."""

    served: Admin
    capture: pytest.CaptureFixture[str]

    @property
    def fleet(self) -> FakeFleet:
        return self.served.fleet

    async def __call__(self, *argv: str, code: int = 0) -> Ended:
        """In a thread, because the client blocks and the application runs in this loop."""
        self.capture.readouterr()
        app = make_app(worker.group())
        got = await asyncio.to_thread(run, app, argv)
        text = self.capture.readouterr()
        assert got == code, (argv, got, text)
        return Ended(code=got, out=text.out, err=text.err)


@pytest.fixture
async def rouse(
    fleet: FakeFleet, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Shell]:
    async with serving(fleet) as served:
        monkeypatch.setenv("ROUSE_ADMIN_URL", served.url)
        monkeypatch.delenv("ROUSE_ADMIN_KEY", raising=False)
        yield Shell(served=served, capture=capsys)
