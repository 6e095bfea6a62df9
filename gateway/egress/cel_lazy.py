"""`default(a, b)` and `coalesce(a, ..)`: what fails is passed over. CEL computes arguments before
a function sees them, so these are cut out of an expression's text and computed by themselves.
"""

import re

_CALL = re.compile(r"(?<![\w.])(default|coalesce)\(")
_QUOTES = ('"""', "'''", '"', "'")

Cut = tuple[str, tuple[str, ...]]
"""`default` or `coalesce`, and its arguments."""


def name_of(number: int) -> str:
    """The variable that stands for what was cut out."""
    return f"lazy{number}__"


def cut(source: str) -> tuple[str, tuple[Cut, ...]]:
    """The text without its outermost calls, and these in order. Raises ValueError."""
    pieces: list[str] = []
    found: list[Cut] = []
    at = 0
    while (call := _next_call(source, at)) is not None:
        arguments, end = _arguments(source, call.end())
        wanted = len(arguments) == 2 if call[1] == "default" else bool(arguments)
        if not wanted or not all(arguments):
            raise ValueError(f"{call[1]}() is given {len(arguments)} arguments")
        pieces += [source[at : call.start()], name_of(len(found))]
        found.append((call[1], tuple(arguments)))
        at = end
    return "".join((*pieces, source[at:])), tuple(found)


def _next_call(source: str, at: int) -> re.Match[str] | None:
    while at < len(source):
        quote = _quote_at(source, at)
        if quote:
            at = _after_string(source, at, quote)
            continue
        call = _CALL.match(source, at)
        if call is not None:
            return call
        at += 1
    return None


def _arguments(source: str, at: int) -> tuple[list[str], int]:
    """Those of a call whose bracket was opened before `at`, and where it ends."""
    arguments, start, depth = [], at, 0
    while at < len(source):
        quote = _quote_at(source, at)
        if quote:
            at = _after_string(source, at, quote)
            continue
        here = source[at]
        if here in "([{":
            depth += 1
        elif here in ")]}" and depth:
            depth -= 1
        elif here == ")":
            arguments.append(source[start:at].strip())
            return arguments, at + 1
        elif here == "," and not depth:
            arguments.append(source[start:at].strip())
            start = at + 1
        at += 1
    raise ValueError("a bracket is not closed")


def _quote_at(source: str, at: int) -> str:
    return next((each for each in _QUOTES if source.startswith(each, at)), "")


def _after_string(source: str, at: int, quote: str) -> int:
    is_raw = at > 0 and source[at - 1] in "rR"
    at += len(quote)
    while at < len(source):
        if source[at] == "\\" and not is_raw:
            at += 2
        elif source.startswith(quote, at):
            return at + len(quote)
        else:
            at += 1
    return at
