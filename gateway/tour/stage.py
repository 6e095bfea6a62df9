"""What the tour looks like: plain lines, a little colour where a person sits at a terminal."""

from collections.abc import Mapping, Sequence
from typing import TextIO

from gateway.tour.visitor import Wake

BAR_WIDTH = 40


def wants_colour(out: TextIO, environ: Mapping[str, str]) -> bool:
    """Colour only on a terminal that has not said no (no-color.org)."""
    return out.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def told(wake: Wake) -> str:
    """Where a wake's time went, as a sum one can follow."""
    parts = [f"{name} {ms:.1f}" for name, ms in wake.phases.items() if name != "total"]
    total = f"{wake.kind}, {wake.phases.get('total', 0.0):.1f} ms"
    return f"{total} = {' + '.join(parts)}" if parts else total


def bars(rows: Sequence[tuple[str, float]]) -> list[str]:
    """One line per row, the longest bar as wide as BAR_WIDTH."""
    longest = max((ms for _, ms in rows), default=0.0) or 1.0
    name_width = max((len(name) for name, _ in rows), default=0)
    lines = []
    for name, ms in rows:
        bar = "#" * max(1, round(ms / longest * BAR_WIDTH))
        lines.append(f"{name:<{name_width}} {bar:<{BAR_WIDTH}} {ms:.0f} ms")
    return lines


class Stage:
    """Where the tour speaks; each line is there before the next step begins."""

    def __init__(self, out: TextIO, *, steps: int, colour: bool) -> None:
        self._out = out
        self._steps = steps
        self._colour = colour
        self._step = 0

    def step(self, title: str) -> None:
        self._step += 1
        self._line(f"\n{self._paint('1', f'{self._step}/{self._steps}  {title}')}")

    def say(self, text: str) -> None:
        self._line(f"     {text}")

    def seen(self, text: str) -> None:
        """Something that was checked and is so."""
        self._line(f"  {self._paint('32', 'ok')} {text}")

    def failed(self, reason: str) -> None:
        where = f"step {self._step} of {self._steps}" if self._step else "the start"
        self._line(f"\n{self._paint('31', 'The tour failed')} at {where}: {reason}")

    def heading(self, text: str) -> None:
        self._line(f"\n{self._paint('1', text)}")

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _line(self, text: str) -> None:
        self._out.write(text + "\n")
        self._out.flush()
