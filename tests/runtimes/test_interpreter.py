"""Which commands can be run by a preloaded parent."""

import pytest

from runtimes.interpreter import NotPython, parse


def test_a_module_and_its_arguments() -> None:
    found = parse(["python3", "-u", "-X", "dev", "-m", "pkg.mod", "-v", "x"])
    assert (found.flags, found.module) == (("-u", "-X", "dev"), "pkg.mod")
    assert found.arguments == ("-m", "-v", "x")


def test_a_file_and_its_arguments() -> None:
    found = parse(["/opt/venv/bin/python3.12", "-Wignore", "app/main.py", "-m", "x"])
    assert (found.interpreter, found.flags) == ("/opt/venv/bin/python3.12", ("-Wignore",))
    assert (found.module, found.arguments) == ("", ("app/main.py", "-m", "x"))


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["sh", "-c", "python3 x.py"], "is no Python"),
        (["pythonic", "x.py"], "is no Python"),
        (["python3", "-c", "print()"], "'-c' is not understood"),
        (["python3", "--version"], "not understood"),
        (["python3"], "neither a module"),
        (["python3", "-m"], "neither a module"),
        ([], "is no Python"),
    ],
)
def test_what_else_there_is_is_refused_by_name(command: list[str], why: str) -> None:
    with pytest.raises(NotPython, match=why):
        parse(command)
