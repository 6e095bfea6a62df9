"""Secrets: read again when they change, fetched once for all, never shown."""

import asyncio
from pathlib import Path

import pytest

from gateway.egress.config.model import Source
from gateway.egress.credentials.secrets import Fetched, Secrets, SecretUnavailable

ASKED = Source(command=("x",), ttl_s=100)


class _Vault:
    def __init__(self, lives_s: float = 100.0) -> None:
        self.asked, self.lives_s, self.gate = 0, lives_s, asyncio.Event()
        self.gate.set()
        self.fails = False

    async def __call__(self, source: Source, secrets: Secrets) -> Fetched:
        self.asked += 1
        await self.gate.wait()
        if self.fails:
            raise SecretUnavailable("sealed")
        return Fetched(value=f"s{self.asked}", lives_s=self.lives_s)


def test_a_file_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("one\n")
    source, secrets = Source(file=path), Secrets({}, _Vault())
    secrets.watch([source])
    assert secrets.value(source) == "one"
    before = secrets.version
    path.write_text("two two\n")
    secrets.look()
    assert secrets.value(source) == "two two" and secrets.version > before
    path.write_text("")  # half written: the old one stays
    secrets.look()
    assert secrets.value(source) == "two two"


def test_a_file_that_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such"):
        Secrets({}, _Vault()).watch([Source(file=tmp_path / "x")])


def test_a_variable_that_is_not_set_is_told_by_name() -> None:
    with pytest.raises(SecretUnavailable, match=r"\$KEY is not set"):
        Secrets({}, _Vault()).value(Source(env="KEY"))
    assert Secrets({"KEY": "v"}, _Vault()).value(Source(env="KEY")) == "v"


async def test_one_fetch_serves_all_who_wait() -> None:
    vault = _Vault()
    vault.gate.clear()
    secrets = Secrets({}, vault)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(secrets.run(3600))
        await asyncio.sleep(0)
        waiting = [group.create_task(secrets.ready([ASKED])) for _ in range(5)]
        await asyncio.sleep(0)
        waiting[0].cancel()  # who leaves takes nothing from the others
        vault.gate.set()
        await asyncio.gather(*waiting[1:])
        assert vault.asked == 1 and secrets.value(ASKED) == "s1" and secrets.is_ready(ASKED)
        running.cancel()


async def test_it_is_fetched_again_before_it_runs_out() -> None:
    vault = _Vault(lives_s=0.0)
    secrets = Secrets({}, vault)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(secrets.run(3600))
        await asyncio.sleep(0)
        await secrets.ready([ASKED])
        assert not secrets.is_ready(ASKED)
        with pytest.raises(SecretUnavailable, match="in time"):
            secrets.value(ASKED)
        vault.lives_s = 100.0
        await secrets.ready([ASKED])
        assert secrets.value(ASKED) == "s2"
        running.cancel()


async def test_a_source_that_fails_leaves_the_old_one_until_it_ends() -> None:
    vault = _Vault()
    secrets = Secrets({}, vault)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(secrets.run(3600))
        await asyncio.sleep(0)
        await secrets.ready([ASKED])
        vault.fails = True
        await secrets._begin(ASKED)
        assert secrets.value(ASKED) == "s1" and "s1" not in repr(secrets)
        running.cancel()
