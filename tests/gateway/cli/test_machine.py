"""Each look at the machine says what it found and, where something lacks, what to do.

Drivers' own checks are tested with the drivers.
"""

import os
import resource
import socket
from pathlib import Path

from gateway.cli import machine
from gateway.cli.machine import Finding, Verdict
from gateway.ingress import exchange


def test_whatever_lacks_comes_with_a_remedy_or_a_reason() -> None:
    for finding in machine.look(os.environ):
        assert finding.check and finding.found
        if finding.verdict is not Verdict.OK and not finding.check.startswith("runtime "):
            assert finding.remedy, finding


def test_this_machine_can_run_the_product() -> None:
    findings = {finding.check: finding for finding in machine.look(os.environ)}
    assert machine.can_run(list(findings.values())), findings
    assert findings["runtime process"].verdict is Verdict.OK
    assert "valkey" in findings["redis"].found or "redis" in findings["redis"].found


def test_one_missing_thing_is_enough_to_be_unfit() -> None:
    fine = Finding(check="a", verdict=Verdict.WARN, found="less")
    missing = Finding(check="b", verdict=Verdict.MISSING, found="none", remedy="get one")
    assert machine.can_run([fine]) and not machine.can_run([fine, missing])


def test_a_port_in_use_is_no_obstacle_but_said() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        finding = machine.port(number, "requests")
        assert finding.verdict is Verdict.WARN and "takes another one" in finding.remedy
    assert machine.port(number, "requests").verdict is Verdict.OK


def test_the_server_that_would_be_started_is_named() -> None:
    found = machine.table_server()
    assert found.verdict is Verdict.OK and found.found.startswith(("valkey-server", "redis-server"))


def test_a_data_directory_is_judged_by_the_nearest_that_exists(tmp_path: Path) -> None:
    environ = {"ROUSE_DATA_DIR": str(tmp_path / "not" / "yet")}
    finding = machine.data_directory(environ)
    assert finding.verdict is not Verdict.MISSING and str(tmp_path) in finding.found


def test_a_file_in_the_place_of_the_data_directory_is_missing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    finding = machine.data_directory({"ROUSE_DATA_DIR": str(tmp_path / "file" / "data")})
    assert finding.verdict is Verdict.MISSING and "ROUSE_DATA_DIR" in finding.remedy


def test_few_open_files_are_said_with_the_command_that_raises_them() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        finding = machine.open_files()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert finding.verdict is Verdict.WARN and finding.remedy.startswith("raise it before")


def test_whether_the_relay_is_compiled_is_told() -> None:
    finding = machine.relay()
    is_compiled = not exchange.__file__.endswith(".py")
    assert (finding.verdict is Verdict.OK) == is_compiled == (finding.found == "compiled")
