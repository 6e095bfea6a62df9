"""A worker put together: what it tells others is where it can be reached, and its directory is its
own. A real program behind the real door; suspends and crashes are tests/system's."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from gateway.ingress.hop import hop_fields
from gateway.settings import BadSettings
from gateway.telemetry import Telemetry
from gateway.wiring.backbone import Keys, backbone
from gateway.wiring.worker import open_vault, snapshot_keys, store_url, worker_part
from lifecycle.errors import DependencyAway
from lifecycle.host.places import DirectoryInUse
from lifecycle.messages import Here, WakeAsk
from lifecycle.rpc.client import Callers, FarWorker
from lifecycle.snapshots.vault import SnapshotOwner
from placement.model import ActorId, ActorState
from placement.server import PrivateServer
from placement.table import Table
from tests.gateway.test_telemetry import read
from tests.gateway.wiring.starting import KEY, apply_counter, running_parts, settings_of

ACTOR = ActorId("demo", "c1")


async def asked(door: str, fields: bytes) -> tuple[int, str]:
    """A GET at the door with these hop fields."""
    headers = [line.split(": ", 1) for line in fields.decode().splitlines()]
    connector = aiohttp.UnixConnector(door.removeprefix("unix:"))
    async with aiohttp.ClientSession(connector=connector) as session:
        async with session.get("http://door/", headers=[(n, v) for n, v in headers]) as answer:
            return answer.status, await answer.text()


@pytest.mark.usefixtures("redis")
async def test_r24_a_worker_in_the_table_answers_at_its_door_and_its_rpc(
    redis_server: PrivateServer, table: Table, tmp_path: Path
) -> None:
    settings = settings_of("worker", tmp_path, redis_server.url, key=True)
    async with backbone(settings, redis_server.url, Keys.of(KEY)) as spine:
        await apply_counter(spine)
        async with worker_part(settings, spine) as worker:
            async with running_parts([*spine.parts(), *worker.parts()]):
                await worker.host.registered.wait()
                (record,) = await spine.leases.workers()
                assert "process" in record.runtimes and record.free == record.slots
                strangers, callers = Callers(None), Callers(spine.keys.rpc)
                with pytest.raises(DependencyAway, match="the shared key is another one"):
                    await FarWorker(record.rpc, strangers).status()
                far = FarWorker(record.rpc, callers)
                await spine.table.create(ACTOR, template="counter")
                here = await far.wake(WakeAsk(actor=ACTOR, wait_ms=20_000))
                assert isinstance(here, Here), here
                fields = hop_fields(ACTOR, uid=here.uid, epoch=here.epoch, key=spine.keys.door)
                status, _ = await asked(here.door, fields)
                assert status == 200
                without = hop_fields(ACTOR, uid=here.uid, epoch=here.epoch)
                assert (await asked(here.door, without))[0] == 403
                wrong = hop_fields(ACTOR, uid=here.uid, epoch=here.epoch, key=spine.keys.rpc)
                assert (await asked(here.door, wrong))[0] == 403
                telemetry = Telemetry()
                telemetry.add(worker.read)
                found = read(telemetry.render().decode())
                assert found["rouse_wakes_total"]["kind=cold,result=ok"] == 1
                counts = found["rouse_requests_total"]
                assert counts["relay=door,source=actor,status=200"] == 1
                await worker.host.drain()
                for each in (strangers, callers):
                    await each.close()
        gone = await table.read(ACTOR)
        assert gone is not None and gone.state is ActorState.SUSPENDED and gone.snapshot


@pytest.mark.usefixtures("redis")
async def test_a_directory_has_one_worker_at_a_time(
    redis_server: PrivateServer, tmp_path: Path
) -> None:
    settings = settings_of("worker", tmp_path, redis_server.url)
    async with backbone(settings, redis_server.url, Keys.of(None)) as spine:
        async with worker_part(settings, spine) as worker:
            first = worker.host.worker
            with pytest.raises(DirectoryInUse):
                async with worker_part(settings, spine):
                    pass
        async with worker_part(settings, spine) as again:
            assert again.host.worker == first  # its id is kept there


@pytest.mark.usefixtures("redis")
async def test_an_address_of_every_interface_must_say_where_that_is(
    redis_server: PrivateServer, tmp_path: Path
) -> None:
    settings = settings_of("worker", tmp_path, redis_server.url, key=True, door__listen="0.0.0.0:0")
    async with backbone(settings, redis_server.url, Keys.of(KEY)) as spine:
        async with worker_part(settings, spine) as worker:
            with pytest.raises(ExceptionGroup) as caught:
                async with running_parts(worker.parts()):
                    await asyncio.Event().wait()
            assert caught.group_contains(BadSettings, match=r"door\.advertise")
        assert await spine.leases.workers() == []


@pytest.mark.usefixtures("redis")
async def test_what_is_advertised_is_what_others_are_told(
    redis_server: PrivateServer, tmp_path: Path
) -> None:
    settings = settings_of(
        "worker",
        tmp_path,
        redis_server.url,
        key=True,
        door__listen="0.0.0.0:0",
        door__advertise="10.1.2.3:7001",
        rpc__listen="127.0.0.1:0",
        worker__id="w7",
        worker__labels={"zone": "b"},
        worker__slots=3,
    )
    async with backbone(settings, redis_server.url, Keys.of(KEY)) as spine:
        async with worker_part(settings, spine) as worker, running_parts(worker.parts()):
            await worker.host.registered.wait()
            (record,) = await spine.leases.workers()
            assert (record.worker, record.door) == ("w7", "10.1.2.3:7001")
            assert (record.labels, record.slots) == ({"zone": "b"}, 3)
            host, _, port = record.rpc.rpartition(":")
            assert host == "127.0.0.1" and int(port) > 0
            await worker.host.withdraw()


def test_snapshots_go_to_the_data_directory_unless_told_otherwise(tmp_path: Path) -> None:
    settings = settings_of("up", tmp_path, "redis://127.0.0.1")
    assert store_url(settings) == f"file://{tmp_path}/snapshots"
    far = settings_of("worker", tmp_path, "redis://127.0.0.1", snapshots__url="s3://bucket/x")
    assert store_url(far) == "s3://bucket/x"


async def test_what_one_start_saved_the_next_one_reads(tmp_path: Path) -> None:
    """The key is made once and kept; two vaults of one machine are one place."""
    settings = settings_of("up", tmp_path, "redis://127.0.0.1")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "n").write_text("41")
    owner = SnapshotOwner(actor=ACTOR, uid="00ff", epoch=1)
    async with open_vault(settings, None) as vault:
        saved = await vault.save(owner, {"/data": tmp_path / "files"}, parent=None)
    async with open_vault(settings, tmp_path / "cache") as vault:
        await vault.restore("demo", "00ff", saved.id, {"/data": tmp_path / "again"})
    assert (tmp_path / "again" / "n").read_text() == "41"
    assert not (tmp_path / "cache").exists()  # beside a directory it would hold everything twice
    assert (tmp_path / "snapshot.key").stat().st_mode & 0o077 == 0
    assert snapshot_keys(settings) is not None
