"""Notice the end of one process, whoever's child it is, and how it ended where we are told."""

import asyncio
import os

from runtimes.base import Exit
from runtimes.procfs import Pid, is_alive, is_same

POLL_S = 0.05
"""Only where the kernel has no pidfd (macOS)."""


class Watch:
    """The end of `process` as a future. Reaps it when it is our child, exactly once."""

    def __init__(self, process: Pid) -> None:
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._pidfd = -1
        self._timer: asyncio.TimerHandle | None = None
        self.ended: asyncio.Future[Exit] = self._loop.create_future()
        self._begin()

    def close(self) -> None:
        """Stop watching; who waits is cancelled."""
        self._let_go()
        self.ended.cancel()

    def _begin(self) -> None:
        if not hasattr(os, "pidfd_open"):
            self._poll()
            return
        try:
            self._pidfd = os.pidfd_open(self._process.pid)
        except OSError:
            self._finish(Exit())
            return
        # After the open: the number cannot have changed hands since, but may have before.
        if not is_same(self._process):
            self._finish(Exit())
            return
        self._loop.add_reader(self._pidfd, self._readable)

    def _readable(self) -> None:
        self._finish(_reap(self._pidfd))

    def _poll(self) -> None:
        found = _reap_by_number(self._process.pid)
        if found is not None or not is_alive(self._process):
            self._finish(found or Exit())
        else:
            self._timer = self._loop.call_later(POLL_S, self._poll)

    def _finish(self, how: Exit) -> None:
        self._let_go()
        if not self.ended.done():
            self.ended.set_result(how)

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1


def _reap(pidfd: int) -> Exit:
    try:
        found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return Exit()
    if found is None:
        return Exit()
    if found.si_code == os.CLD_EXITED:
        return Exit(code=found.si_status)
    return Exit(signal=found.si_status)


def _reap_by_number(pid: int) -> Exit | None:
    try:
        done, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    if done == 0:
        return None
    code = os.waitstatus_to_exitcode(status)
    return Exit(code=code) if code >= 0 else Exit(signal=-code)
