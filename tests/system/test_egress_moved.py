"""An actor that another worker wakes with its memory, which trusts the CA of its former worker."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.system.outside import SECRET, outside, policy
from tests.system.product import ask, role, started, template

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="gVisor needs root"),
]

CLIENTS = Path(__file__).parent / "clients"


def test_memory_that_another_worker_wakes_still_makes_intercepted_calls(tmp_path: Path) -> None:
    """The other one is where the first was, as a pod that follows another: all that a worker has of
    its own is new, and what they share is the key, the table and the store."""
    (tmp_path / "secret").write_text(SECRET)
    key = tmp_path / "shared.key"
    key.write_text("k" * 40)
    key.chmod(0o600)
    keyed = {"Authorization": f"Bearer {'k' * 40}", "Content-Type": "application/json"}
    document = template(
        "moved",
        ns="moved",
        runtime={"class": "gvisor"},
        command=["python3", "-S", str(CLIENTS / "remembering.py")],
        workingDir=str(CLIENTS),
        snapshot={"scope": "full"},
        idle={"freezeAfter": "never", "suspendAfter": "never"},
        create={"onRequest": True},
    )
    with outside(tmp_path) as out:
        (tmp_path / "egress.yaml").write_text(policy(out, tmp_path / "secret"))
        up = role(
            "up", tmp_path / "data",
            ROUSE_EGRESS_POLICIES=f"default={tmp_path / 'egress.yaml'}",
            ROUSE_SHARED_KEY_FILE=str(key),
        )  # fmt: skip
        with started(up):
            body = json.dumps(document).encode()
            made = ask(up.admin, "POST", "/v1/templates", headers=keyed, body=body)
            assert made.status in (200, 201), made.body
            assert up.get("a1", ns="moved").json() == {"calls": 1, "said": "hello"}
            done = up.cli("actor", "suspend", "moved/a1", ROUSE_ADMIN_KEY="k" * 40)
            assert done.returncode == 0, done.stderr
            assert up.stop() == 0
            before = (up.data / "egress" / "ca.crt").read_bytes()
            for own in ("egress", "cache", "worker/kept"):
                shutil.rmtree(up.data / own, ignore_errors=True)
            up.start().ready()
            assert up.get("a1", ns="moved").json() == {"calls": 2, "said": "hello"}
            assert (up.data / "egress" / "ca.crt").read_bytes() != before
