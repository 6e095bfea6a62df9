"""Output is aligned for people and exact for programs; foreign text cannot break a line."""

import pytest
import yaml

from gateway.cli.output import Format, done, show, table


def test_columns_are_aligned_and_absent_values_are_dashes() -> None:
    rows: list[dict[str, object]] = [{"a": "x", "b": {"c": 1}}, {"a": "longer", "b": None}]
    assert table(rows, ("a", "b.c")) == "A       C\nx       1\nlonger  -"


def test_columns_that_end_alike_are_told_apart() -> None:
    row = {"state": "RUNNING", "residence": {"state": "frozen"}}
    assert table([row], ("state", "residence.state")).splitlines()[0].split() == [
        "STATE",
        "RESIDENCE.STATE",
    ]


def test_values_of_all_kinds_fit_a_cell() -> None:
    row = {"yes": True, "list": ["a", "b"], "map": {"zone": "a"}, "empty": [], "zero": 0}
    assert table([row], ("yes", "list", "map", "empty", "zero")).splitlines()[1].split() == [
        "yes",
        "a,b",
        "zone=a",
        "-",
        "0",
    ]


def test_foreign_text_moves_no_cursor() -> None:
    assert "\x1b" not in table([{"reason": "bad\x1b[2J\nthing"}], ("reason",))
    assert table([{"reason": "a\nb"}], ("reason",)).count("\n") == 1


def test_json_and_yaml_have_everything(capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"name": "ü", "inner": {"a": [1]}}
    for output in (Format.JSON, Format.YAML):
        show(answer, output, ("name",))
        assert yaml.safe_load(capsys.readouterr().out) == answer
    done("all done", Format.TABLE, answer)
    assert capsys.readouterr().out == "all done\n"
