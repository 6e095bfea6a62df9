"""Which Python program a command starts: what a preloaded parent must know to run it. No I/O."""

import posixpath
import re
from collections.abc import Sequence
from typing import NamedTuple

_NAME = re.compile(r"python(3(\.\d+)?)?")
_ALONE = re.compile(r"-(B|E|O|OO|P|s|S|u|v|I|b|bb|q|x)+")
_WITH_VALUE = ("-X", "-W")


class NotPython(ValueError):
    """The command is not `python3 -m MODULE ...` or `python3 FILE ...`; the text says why."""


class PythonCommand(NamedTuple):
    interpreter: str
    """As it was written: looked up on the program's PATH."""
    flags: tuple[str, ...]
    """Of the interpreter: the parent is started with them."""
    module: str
    """Of `-m`; empty for a file."""
    arguments: tuple[str, ...]
    """`sys.argv` of the program: the file's path and the rest, or the rest behind a place for the
    module's path."""


def parse(command: Sequence[str]) -> PythonCommand:
    """Raises NotPython."""
    if not command or _NAME.fullmatch(posixpath.basename(command[0])) is None:
        name = command[0][:80] if command else ""
        raise NotPython(f"{name!r} is no Python: it must be python3 -m MODULE or python3 FILE")
    flags: list[str] = []
    rest = list(command[1:])
    while rest:
        word = rest.pop(0)
        if word == "-m":
            if not rest:
                break
            return PythonCommand(command[0], tuple(flags), rest[0], ("-m", *rest[1:]))
        if word in _WITH_VALUE and rest:
            flags += [word, rest.pop(0)]
        elif _ALONE.fullmatch(word) or word[:2] in _WITH_VALUE:
            flags.append(word)
        elif word.startswith("-"):
            raise NotPython(f"{word[:80]!r} is not understood: write python3 -m MODULE or a file")
        else:
            return PythonCommand(command[0], tuple(flags), "", (word, *rest))
    raise NotPython("it names neither a module (-m) nor a file")
