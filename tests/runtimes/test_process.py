"""What `process` says of itself; what it does is in tests/contract/test_process.py."""

from pathlib import Path

from runtimes.cgroups import Tree
from runtimes.ports import Ports
from runtimes.process import Process


def keeps(*controllers: str) -> str:
    tree = Tree(base=Path("/nowhere"), controllers=frozenset(controllers))
    return "; ".join(Process(Path("/x"), tree=tree, ports=Ports()).capabilities().keeps)


def test_limits_that_are_not_kept_are_said() -> None:
    assert "no limit of cpu" in keeps() and "no limit of pids" in keeps()
    assert "memory per process" in keeps()
    assert keeps("cpu", "memory", "pids").startswith("cpu by cgroup; memory by cgroup; pids by")
    assert "no limit" not in keeps("cpu", "memory", "pids")


def test_without_a_cgroup_less_is_kept_and_it_lives_on_all_the_same() -> None:
    able = Process(Path("/x"), tree=None, ports=Ports()).capabilities()
    assert "no limit of CPU share or of processes" in able.keeps
    assert able.isolation == 0 and not able.own_network and able.survives_worker
