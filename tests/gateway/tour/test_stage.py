"""How the tour looks on a terminal and on a pipe."""

import io

from gateway.tour.stage import BAR_WIDTH, Stage, bars, told, wants_colour
from gateway.tour.visitor import Wake


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_want_it() -> None:
    assert wants_colour(Terminal(), {"TERM": "xterm"})
    assert not wants_colour(Terminal(), {"NO_COLOR": "1"})
    assert not wants_colour(Terminal(), {"TERM": "dumb"})
    assert not wants_colour(io.StringIO(), {"TERM": "xterm"})


def test_without_colour_only_plain_ascii_is_written() -> None:
    out = io.StringIO()
    stage = Stage(out, steps=2, colour=False)
    stage.step("a step")
    stage.seen("so it is")
    stage.failed("it is not so")
    assert out.getvalue() == (
        "\n1/2  a step\n  ok so it is\n\nThe tour failed at step 1 of 2: it is not so\n"
    )


def test_colour_is_switched_off_again_on_each_line() -> None:
    out = Terminal()
    Stage(out, steps=1, colour=True).step("a step")
    assert out.getvalue() == "\n\x1b[1m1/1  a step\x1b[0m\n"


def test_a_wake_is_told_as_a_sum() -> None:
    wake = Wake.parse("cold; total=12.5, queue=0.5, ready=12.0")
    assert told(wake) == "cold, 12.5 ms = queue 0.5 + ready 12.0"
    assert told(Wake.parse("thaw; total=0.4")) == "thaw, 0.4 ms"


def test_bars_are_in_proportion_and_never_empty() -> None:
    lines = bars([("c2", 100.0), ("c11", 50.0), ("c3", 0.0)])
    assert [line.count("#") for line in lines] == [BAR_WIDTH, BAR_WIDTH // 2, 1]
    assert lines[0].startswith("c2  #") and lines[0].endswith(" 100 ms")
    assert bars([]) == []
