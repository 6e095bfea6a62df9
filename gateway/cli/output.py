"""Output: one answer of the API as a table for people, or as JSON or YAML for programs."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

import typer


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


Row = Mapping[str, Any]
"""A resource as the API gives it: JSON."""


def show(answer: object, output: Format, columns: Sequence[str]) -> None:
    """`answer` is a resource or `{"items": [...]}`; a column is a field, `a.b` one inside."""
    if output is Format.JSON:
        typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
    elif output is Format.YAML:
        import yaml  # costs 20 ms, and most commands print a table

        typer.echo(yaml.safe_dump(answer, sort_keys=False, allow_unicode=True).rstrip())
    else:
        typer.echo(table(_rows(answer), columns))


def done(sentence: str, output: Format, facts: Mapping[str, object]) -> None:
    """For what has no resource to show: a sentence, or the facts of it."""
    if output is Format.TABLE:
        typer.echo(sentence)
    else:
        show(dict(facts), output, ())


def table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    """Left-aligned columns; an empty list says so."""
    if not rows:
        return "none"
    cells = [_headings(columns)]
    cells += [[_cell(row, column) for column in columns] for row in rows]
    widths = [max(len(line[index]) for line in cells) for index in range(len(columns))]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        for line in cells
    )
    return "\n".join(line.rstrip() for line in lines)


def _headings(columns: Sequence[str]) -> list[str]:
    """A column's last part; the whole of it where another column ends alike."""
    headings: list[str] = []
    for column in columns:
        short = column.rpartition(".")[2].upper()
        headings.append(column.upper() if short in headings else short)
    return headings


def _rows(answer: object) -> Sequence[Row]:
    if isinstance(answer, dict):
        items = answer.get("items")
        return items if isinstance(items, list) else [answer]
    return answer if isinstance(answer, list) else []


def _cell(row: Row, column: str) -> str:
    value: Any = row
    for field in column.split("."):
        value = value.get(field) if isinstance(value, Mapping) else None
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "-"
    if isinstance(value, Mapping):
        return ",".join(f"{name}={each}" for name, each in value.items()) or "-"
    # Text of others (an exit reason) must not move the cursor or start a line of its own.
    return "".join(char if char.isprintable() else " " for char in str(value))
