"""Logs of a process: one line per event, a constant sentence and its fields."""

import json
import logging
import sys
from pathlib import Path
from typing import Any  # of StreamHandler: the stream's type, which is stderr or a file

from gateway.settings import Log

log = logging.getLogger(__name__)

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LONGEST = 500
"""Characters of one field: foreign text is cut."""


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    found = {k: v for k, v in vars(record).items() if k not in _OWN}
    return {k: v[:_LONGEST] if isinstance(v, str) else v for k, v in found.items()}


class TextLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        time = self.formatTime(record, "%H:%M:%S")
        fields = " ".join(f"{k}={_on_one_line(v)}" for k, v in fields_of(record).items())
        line = f"{time} {record.levelname.lower():<7} {record.getMessage()}"
        line = f"{line}  {fields}" if fields else line
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _on_one_line(value: object) -> str:
    """Foreign text must not be able to write a line of its own."""
    text = str(value)[:_LONGEST]
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        # A field never takes the place of what every line has.
        line |= {f"field_{k}" if k in line else k: v for k, v in fields_of(record).items()}
        return json.dumps(line, default=str)


def set_up(settings: Log, file: Path | None = None) -> None:
    """To stderr, or to `file` where the terminal belongs to something else."""
    handler: logging.StreamHandler[Any] = (
        logging.StreamHandler(sys.stderr) if file is None else logging.FileHandler(file, "a")
    )
    text = settings.format == "text" or (settings.format == "auto" and handler.stream.isatty())
    handler.setFormatter(TextLines() if text else JsonLines())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    # Libraries tell their own errors; their chatter is not ours.
    for name in ("aiobotocore", "botocore", "aiohttp.access", "asyncio", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)


class BoundedFile:
    """Appended to until it is large; then it becomes `<name>.1` and a new one begins."""

    def __init__(self, path: Path, limit: int = 64 * 2**20) -> None:
        self._path = path
        self._limit = limit
        self._file = path.open("ab", buffering=0)
        self._is_failing = False

    def write(self, text: bytes) -> None:
        try:
            self._file.write(text)
            if self._file.tell() > self._limit:
                self._turn()
        except OSError as error:
            # A full disk must not stop the requests that it would have told of.
            if not self._is_failing:
                log.error("access log is not written", extra={"why": error.strerror})
            self._is_failing = True
        else:
            self._is_failing = False

    def _turn(self) -> None:
        """Closed last: where the new file cannot be made, the old one is written on."""
        self._path.replace(self._path.with_suffix(self._path.suffix + ".1"))
        before, self._file = self._file, self._path.open("ab", buffering=0)
        before.close()

    def close(self) -> None:
        self._file.close()
