"""Settings: the nearest source wins, and a wrong one is named by where it was set."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import pytest

from gateway.settings import BadSettings, Role, Settings, load, summary, variable

HOME = {"HOME": "/home/ann", "PATH": "/bin"}
KEY = "correct-horse-battery-staple"


def up(
    environ: Mapping[str, str] | None = None, file: Path | None = None, **overrides: object
) -> Settings:
    named = {name.replace("__", "."): value for name, value in overrides.items()}
    return load("up", file, {**HOME, **(environ or {})}, named)


def refusal(
    environ: Mapping[str, str] | None = None, file: Path | None = None, **overrides: object
) -> str:
    with pytest.raises(BadSettings) as caught:
        up(environ, file, **overrides)
    return str(caught.value)


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "rouse.yaml"
    file.write_text(text)
    return file


def test_up_needs_no_settings_at_all() -> None:
    settings = up()
    assert settings.edge.listen == "127.0.0.1:8080" and settings.worker.slots == 100
    assert settings.data_dir == Path("/home/ann/.local/state/rouse")
    assert settings.redis.url is None and settings.chosen == frozenset()
    assert settings.shared_key() is None


def test_command_line_beats_variable_beats_file(tmp_path: Path) -> None:
    file = written(tmp_path, "edge: {listen: '127.0.0.1:1', processes: 2}\nworker: {slots: 7}\n")
    environ = {"ROUSE_EDGE_LISTEN": "127.0.0.1:2", "ROUSE_EDGE_PROCESSES": "3"}
    settings = up(environ, file, edge__listen="127.0.0.1:3", worker__slots=None)
    assert (settings.edge.listen, settings.edge.processes) == ("127.0.0.1:3", 3)
    assert settings.worker.slots == 7
    assert settings.is_chosen("edge.listen") and not settings.is_chosen("admin.listen")


def test_variables_are_read_as_what_their_setting_is() -> None:
    settings = up(
        {
            "ROUSE_EDGE_BASE_DOMAINS": "a.example, b.example",
            "ROUSE_EDGE_SANDBOX_HEADERS": "true",
            "ROUSE_WORKER_LABELS": "zone=a,disk=ssd",
            "ROUSE_SNAPSHOTS_CACHE_BYTES": "512Mi",
            "ROUSE_LEASE_TTL_S": "4.5",
            "ROUSE_DATA_DIR": "/srv/rouse",
        }
    )
    assert settings.edge.base_domains == ("a.example", "b.example")
    assert settings.edge.sandbox_headers is True
    assert settings.worker.labels == {"zone": "a", "disk": "ssd"}
    assert settings.snapshots.cache_bytes == 512 * 2**20
    assert settings.lease.ttl_s == 4.5 and settings.data_dir == Path("/srv/rouse")
    assert variable("edge.wake_timeout_s") == "ROUSE_EDGE_WAKE_TIMEOUT_S"


def test_the_clients_own_variables_may_stand_beside() -> None:
    up({"ROUSE_ADMIN_URL": "http://127.0.0.1:1", "ROUSE_ADMIN_KEY": KEY})


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        (
            {"ROUSE_EDGE_LISTN": "x"},
            "ROUSE_EDGE_LISTN: no such setting; did you mean ROUSE_EDGE_LISTEN?",
        ),
        ({"ROUSE_EDGE_PROCESSES": "two"}, "ROUSE_EDGE_PROCESSES: expected `int`, got `str`"),
        ({"ROUSE_EDGE_PROCESSES": "0"}, "ROUSE_EDGE_PROCESSES: edge.processes: 0 is not between"),
        ({"ROUSE_WORKER_LABELS": "zone"}, "ROUSE_WORKER_LABELS: 'zone' is not of the form"),
        ({"ROUSE_LOG_LEVEL": "loud"}, "ROUSE_LOG_LEVEL: invalid enum value 'loud'"),
        ({"ROUSE_SNAPSHOTS_CACHE_BYTES": "2GB"}, "ROUSE_SNAPSHOTS_CACHE_BYTES: '2GB' is no size"),
        ({"ROUSE_EDGE_LISTEN": "8080"}, "ROUSE_EDGE_LISTEN: edge.listen: '8080' is no address"),
        ({"ROUSE_EDGE_LISTEN": "unix:/s"}, "ROUSE_EDGE_LISTEN: edge.listen: unix:/s is a unix"),
        ({"ROUSE_EDGE_BASE_DOMAINS": "A_B.c"}, "ROUSE_EDGE_BASE_DOMAINS: edge.base_domains: "),
        ({"ROUSE_EDGE_TRUSTED_PROXIES": "lan"}, "ROUSE_EDGE_TRUSTED_PROXIES: edge.trusted_proxies"),
        ({"ROUSE_WORKER_ID": "Big One"}, "ROUSE_WORKER_ID: worker.id: it 'Big One' is not a DNS"),
        ({"ROUSE_LEASE_MARGIN_S": "10"}, "ROUSE_LEASE_MARGIN_S: lease.margin_s: must be less than"),
        ({"ROUSE_LEASE_TTL_S": "nan"}, "ROUSE_LEASE_TTL_S: "),
    ],
)
def test_a_wrong_variable_is_named(environ: dict[str, str], message: str) -> None:
    assert refusal(environ).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("edge: {listn: x}", "edge.listn: unknown field; did you mean listen?"),
        ("egde: {listen: x}", "egde: unknown field; did you mean edge?"),
        ("chosen: [edge.listen]", "chosen: unknown field; known: admin, data_dir"),
        ("edge: 5", "edge: expected `object`, got `int`"),
        ("edge: {processes: [1]}", "edge.processes: expected `int`, got `array`"),
        ("worker: {labels: {a: [b]}}", "worker.labels[...]: expected `str`, got `array`"),
        ("edge: {asleep: {favicon.ico: 204}}", "edge.asleep: 'favicon.ico' is no path"),
        ("edge: {asleep: {/a: 101}}", "edge.asleep: /a: 101 is no status for it"),
        ("- edge", "settings are one mapping"),
        ("edge: {}\nedge: {}", "line 2: 'edge' is given twice"),
        ("edge: {", "line 2: not YAML"),
    ],
)
def test_a_wrong_file_is_named_with_its_path(tmp_path: Path, text: str, message: str) -> None:
    file = written(tmp_path, text + "\n")
    assert refusal(file=file).startswith(f"{file}: {message}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refusal(file=tmp_path / "none") == f"{tmp_path}/none: No such file or directory"


def test_a_group_with_everything_commented_out_is_empty(tmp_path: Path) -> None:
    assert up(file=written(tmp_path, "edge:\n  # listen: x\n")).edge == up().edge
    assert up(file=written(tmp_path, "")).edge == up().edge


@pytest.mark.parametrize("name", ["admin.listen", "rpc.listen", "door.listen"])
def test_an_internal_address_that_others_reach_needs_a_key(tmp_path: Path, name: str) -> None:
    override = {name.replace(".", "__"): "0.0.0.0:9000"}
    assert refusal(None, None, **override).startswith(f"{name} 0.0.0.0:9000 can be reached by")
    (tmp_path / "key").write_text(KEY + "\n")
    settings = up(None, None, **override, shared_key_file=str(tmp_path / "key"))
    assert settings.shared_key() == KEY


def test_the_key_is_in_no_repr_and_in_no_refusal(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    settings = up(shared_key_file=tmp_path / "key")
    assert KEY not in repr(settings) and KEY not in summary(settings)
    (tmp_path / "key").write_text("short secret")
    assert "short secret" not in refusal(shared_key_file=tmp_path / "key")


def test_a_key_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    assert "No such file" in refusal(shared_key_file=tmp_path / "none")


SHARED = {
    "redis.url": "redis://127.0.0.1/0",
    "snapshots.url": "s3://bucket/prefix",
    "snapshots.key_file": "/etc/rouse/snapshot.key",
}


def test_only_up_has_a_private_server() -> None:
    with pytest.raises(BadSettings, match=r"redis\.url: a private server is for `rouse up`"):
        load("gateway", None, HOME, {})
    settings = load("gateway", None, HOME, SHARED)
    assert summary(settings).startswith("gateway: settings are good")


@pytest.mark.parametrize("name", ["snapshots.url", "snapshots.key_file"])
@pytest.mark.parametrize("role", ["gateway", "worker"])
def test_only_up_has_a_snapshot_store_of_its_own(role: Role, name: str) -> None:
    """Two workers with a store or a key each could not wake each other's actors."""
    with pytest.raises(BadSettings, match=f"{name}: its own is for `rouse up`"):
        load(role, None, HOME, {**SHARED, name: None})


def test_a_gateway_does_not_ask_for_what_only_workers_open() -> None:
    overrides = {**SHARED, "rpc.listen": "0.0.0.0:9000"}
    load("gateway", None, HOME, overrides)
    with pytest.raises(BadSettings, match=r"rpc\.listen 0\.0\.0\.0:9000 can be reached"):
        load("worker", None, HOME, overrides)


def test_settings_travel_to_another_process_unchanged() -> None:
    settings = up({"ROUSE_SNAPSHOTS_CACHE_BYTES": "1Gi", "ROUSE_WORKER_LABELS": "zone=a"})
    assert pickle.loads(pickle.dumps(settings)) == settings
