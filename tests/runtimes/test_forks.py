"""How a plain start's options become a zygote's and its children's; what holds inside is shown in
tests/contract/test_zygote.py."""

from runtimes import enclosures
from runtimes.forks import CRADLE, child_options, parent_options

PLAIN = [
    *("--unshare-pid", "--unshare-net", "--uid", "7", "--gid", "7"),
    *("--ro-bind", "/usr", "/usr", "--ro-bind-try", "/etc/services", "/etc/services"),
    *("--proc", "/proc", "--tmpfs", "/tmp"),
    *("--ro-bind", "/srv/app", "/srv/app"),
    *("--perms", "0700", "--size", "4096", "--tmpfs", "/srv/app/data"),
    *("--bind", "/var/lib/rouse/c1", "/data", "--chdir", "/srv/app"),
]


def test_a_zygote_shares_process_ids_and_so_has_no_proc() -> None:
    options = parent_options(PLAIN)
    assert "--unshare-pid" not in options and "--unshare-net" in options
    assert "--proc" not in options and "/proc/cpuinfo" in options
    assert options[-1] == CRADLE and options[-3] == "--ro-bind"


def test_a_child_finds_what_its_sandbox_could_not_walk_to() -> None:
    options, shown = child_options(PLAIN)
    assert shown == ["/srv/app", "/var/lib/rouse/c1"]
    assert ["--ro-bind", enclosures.at(0), "/srv/app"] == _at(options, enclosures.at(0))
    assert ["--bind", enclosures.at(1), "/data"] == _at(options, enclosures.at(1))
    assert ["--ro-bind", "/usr", "/usr"] == _at(options, "/usr")
    # The way there is everybody's, and what covers others' files is not the actor's to open.
    assert options.index("/srv") < options.index("/srv/app")
    assert "0700" not in options
    assert not {"--uid", "--gid", "--chdir"} & set(options)
    assert "--unshare-pid" in options and "--unshare-net" in options


def _at(options: list[str], source: str) -> list[str]:
    place = options.index(source)
    return options[place - 1 : place + 2]
