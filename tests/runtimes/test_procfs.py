"""Who is alive, who descends from whom: on real processes."""

import os
import signal
import subprocess

from runtimes import procfs
from runtimes.procfs import Pid


def test_a_name_full_of_parentheses_is_read_right() -> None:
    child = subprocess.Popen(
        ["python3", "-c", "open('/proc/self/comm', 'w').write(') R 1 ('); print(); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    child.stdout.readline()
    found = procfs.stat(child.pid)
    child.kill()
    child.communicate()
    assert found is not None and found.parent == os.getpid()


def test_a_reused_number_is_not_the_same_process() -> None:
    me = procfs.identify(os.getpid())
    assert procfs.is_alive(me) and procfs.is_same(me)
    assert not procfs.is_alive(Pid(me.pid, me.started - 1))


def test_a_signal_never_reaches_a_later_process_of_the_same_number() -> None:
    child = subprocess.Popen(["sleep", "60"])
    real = procfs.identify(child.pid)
    procfs.send(Pid(real.pid, real.started - 1), signal.SIGKILL)
    assert procfs.is_alive(real)
    procfs.send(real, signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL
    procfs.send(real, signal.SIGKILL)


def test_a_zombie_is_over_but_still_itself() -> None:
    child = subprocess.Popen(["sleep", "60"])
    real = procfs.identify(child.pid)
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert procfs.is_same(real) and not procfs.is_alive(real)
    child.wait()
    assert not procfs.is_same(real)


def test_family_is_children_session_and_marked() -> None:
    script = "sleep 60 & setsid sh -c 'echo; exec sleep 61' & wait"
    child = subprocess.Popen(
        ["sh", "-c", script],
        stdout=subprocess.PIPE,
        start_new_session=True,
        env={"PATH": os.environ["PATH"], "MARK": "a-mark-of-this-test"},
    )
    assert child.stdout is not None
    child.stdout.readline()
    root = procfs.identify(child.pid)
    assert len(procfs.family([root])) == 3
    assert procfs.children(root) == procfs.family([root]) - {root}
    child.kill()
    child.wait()
    # Its children are orphans now: one is still in the session, one only carries the mark.
    assert len(procfs.family([root])) == 1
    rest = procfs.family([root], marker="a-mark-of-this-test")
    assert len(rest) == 2
    for member in rest:
        procfs.send(member, signal.SIGKILL)
    child.stdout.close()


def test_a_process_on_its_way_out_is_over_though_nobody_has_taken_it_away() -> None:
    found = procfs.stat(os.getpid())
    assert found is not None and not found.is_over
    assert found._replace(flags=found.flags | procfs.PF_EXITING).is_over
