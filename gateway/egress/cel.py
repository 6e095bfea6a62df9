"""CEL expressions of a document: compiled and their names checked at load, run per request.

The library is `common-expression-language` (Rust's cel underneath). An expression sees who calls
and what is asked; no expression can see a credential. One that fails says so: what a failure means
(deny, or the header goes) is for the policy to say.
"""

import re
from typing import Any, Protocol

import cel
from cel.stdlib import add_stdlib_to_context

from gateway.egress import cel_lazy
from gateway.egress.cel_functions import FUNCTIONS
from lifecycle.strict import NotUnderstood, nearest

NAMES = frozenset(
    (
        "actor",
        "request",
        "response",
        "source",
        "destination",
        "jwt",
        "apiKey",
        "basicAuth",
        "extauthz",
        "llm",
        "llmRequest",
    )
)


class CelFailed(Exception):
    """An expression that could not be computed for this request; the text is the library's."""


class Expression:
    """Raises NotUnderstood when made of what is not CEL, or names what there is not."""

    __slots__ = ("_functions", "_lazy", "_own", "_program", "roots", "source")
    roots: tuple[str, ...]

    def __init__(self, source: str, path: str) -> None:
        self.source = source
        try:
            text, calls = cel_lazy.cut(source)
            self._program = cel.compile(text)
        except ValueError as error:
            raise NotUnderstood(path, f"{source[:120]!r} is not CEL: {_first(error)}") from error
        self._lazy = tuple(
            (kind, tuple(Expression(each, path) for each in arguments)) for kind, arguments in calls
        )
        self._check(path)
        # Only what it names is made for it: a context with everything costs more than the rest of
        # a decision.
        self._own = tuple(name for name in self._program.variables() if name in NAMES)
        inner = [name for _kind, each in self._lazy for one in each for name in one.roots]
        self.roots = tuple(dict.fromkeys((*self._own, *inner)))
        named = {name for name in self._program.functions() if _WORD.fullmatch(name)}
        self._functions = not named <= _CORE

    def __repr__(self) -> str:
        return f"<Expression {self.source[:60]}>"

    def _check(self, path: str) -> None:
        bound = set(_BOUND.findall(self.source))
        bound |= {cel_lazy.name_of(number) for number in range(len(self._lazy))}
        for name in self._program.variables():
            if name not in NAMES and name not in bound and name not in _SPACES:
                raise NotUnderstood(path, f"no {name!r} is known to CEL here; {_near(name, NAMES)}")
        for name in self._program.functions():
            if _WORD.fullmatch(name) and name not in _KNOWN and name not in _IN_SPACES:
                raise NotUnderstood(path, f"CEL has no function {name!r}; {_near(name, _KNOWN)}")

    def compute(self, seen: "Seen") -> Any:  # whatever the expression gives
        """Raises CelFailed."""
        if self.roots != ("actor",):
            return self._compute(seen)
        memo = seen.memo
        if self not in memo:
            if len(memo) >= _MOST_REMEMBERED:
                memo.clear()  # documents come and go while an actor runs
            memo[self] = self._compute(seen)
        return memo[self]

    def _compute(self, seen: "Seen") -> Any:
        values = {name: value for name in self._own if (value := seen.root(name)) is not None}
        for number, (kind, arguments) in enumerate(self._lazy):
            values[cel_lazy.name_of(number)] = _first_of(kind, arguments, seen)
        try:
            if self._functions:
                return self._program.execute(_with_functions(values))
            return self._program.execute(values)
        except (ValueError, KeyError, TypeError, RuntimeError, ArithmeticError) as error:
            raise CelFailed(_first(error)) from error
        except BaseException as error:
            # A panic of the library is no Exception; what an actor sends must not end a worker.
            if type(error).__name__ == "PanicException":
                raise CelFailed("the CEL library broke") from error
            raise

    def is_true(self, seen: "Seen") -> bool:
        """Raises CelFailed, also for an answer that is no boolean."""
        answer = self.compute(seen)
        if isinstance(answer, bool):
            return answer
        raise CelFailed(f"gives {type(answer).__name__}, not a boolean")


def _first_of(kind: str, arguments: "tuple[Expression, ...]", seen: "Seen") -> Any:
    """Of `default` the first that can be computed, of `coalesce` the first that is something."""
    for each in arguments[:-1] if kind == "default" else arguments:
        try:
            value = each.compute(seen)
        except CelFailed:
            continue
        if value is not None or kind == "default":
            return value
    return arguments[-1].compute(seen) if kind == "default" else None


_MOST_REMEMBERED = 256


class Seen(Protocol):
    """What an expression is computed over."""

    @property
    def memo(self) -> dict[object, object]:
        """Lives as long as the actor stays as it is."""
        ...

    def root(self, name: str) -> object | None:
        """The value of one of NAMES; None where there is none."""
        ...


def _with_functions(values: dict[str, object]) -> "cel.Context":
    made = cel.Context(values, {})
    add_stdlib_to_context(made)
    for name, function in FUNCTIONS.items():
        made.add_function(name, function)
    return made


_WORD = re.compile(r"[A-Za-z][A-Za-z0-9.]*")
_BOUND = re.compile(r"\.(?:all|exists|exists_one|map|filter)\(\s*([A-Za-z_][A-Za-z0-9_]*)\s*,")


def _near(name: str, known: frozenset[str]) -> str:
    return nearest(name, known if len(known) < 12 else _close(name, known))


def _close(name: str, known: frozenset[str]) -> list[str]:
    import difflib

    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)


def _first(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


# What the library has by itself (CEL's core), its extended library, and ours.
_CORE = frozenset(
    "size has all exists exists_one map filter int uint double string bytes bool dyn type contains "
    "startsWith endsWith matches timestamp duration getDate getDayOfMonth getDayOfWeek "
    "getDayOfYear getFullYear getHours getMilliseconds getMinutes getMonth getSeconds "
    "optional optional.of optional.none min max".split()
)
_KNOWN: frozenset[str] = frozenset(_with_functions({}).functions) | _CORE | frozenset(FUNCTIONS)
# `base64.encode` is told as a call of `encode` on what looks like a variable.
_SPACES = frozenset(name.partition(".")[0] for name in _KNOWN if "." in name)
_IN_SPACES = frozenset(name.rpartition(".")[2] for name in _KNOWN if "." in name)
