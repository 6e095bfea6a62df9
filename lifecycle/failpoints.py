"""Failpoints: named steps at which a test may kill this process, or stop it, to show what holds.

Off unless `arm` was given a directory (ROUSE_FAILPOINTS, by who starts the process): then a file of
a point's name there says what happens to whoever comes to it first, `kill` or `stop`. It is renamed
to `<name>.hit` before, so that it happens once and the test knows that it did.
"""

import os
import signal
from enum import StrEnum
from pathlib import Path


class Point(StrEnum):
    """Named for what has just been done, where they do not end in a verb to come."""

    WAKE_BEGIN = "wake-begin"
    WAKE_CLAIMED = "wake-claimed"
    WAKE_STARTED = "wake-started"
    WAKE_READY = "wake-ready"
    SUSPEND_FROZEN = "suspend-frozen"
    SUSPEND_BEGUN = "suspend-begun"
    SUSPEND_SAVED = "suspend-saved"
    SUSPEND_COMMITTED = "suspend-committed"
    SUSPEND_DISCARDED = "suspend-discarded"
    UPLOAD_BEGIN = "upload-begin"
    CHECKPOINT_STILL = "checkpoint-still"
    CHECKPOINT_COPIED = "checkpoint-copied"
    CHECKPOINT_SAVED = "checkpoint-saved"
    CHECKPOINT_TOLD = "checkpoint-told"
    HEARTBEAT_BEGIN = "heartbeat-begin"
    HEARTBEAT_COMPARED = "heartbeat-compared"
    DRAIN_BEGIN = "drain-begin"
    DRAIN_ONE = "drain-one"
    DRAIN_WITHDRAW = "drain-withdraw"
    GATEWAY_RESOLVE = "gateway-resolve"
    GATEWAY_FORWARD = "gateway-forward"
    GATEWAY_RETRY = "gateway-retry"


_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_directory: Path | None = None


def arm(directory: Path | None) -> None:
    """From here on points are looked for in `directory`; None: nowhere, as from the start."""
    global _directory
    _directory = directory


def reach(point: Point) -> None:
    """This process comes to `point`. Costs a comparison where nothing is armed."""
    if _directory is not None:
        _look(_directory / point)


def _look(file: Path) -> None:
    try:
        number = _SIGNALS[file.read_text().strip()]
        file.rename(file.with_suffix(".hit"))
    except (OSError, KeyError):
        return  # not for this point, or another process was first
    os.kill(os.getpid(), number)
