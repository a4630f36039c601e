"""Child processes that were forked: each is waited for, ended and reaped by the one that has its `Child`.

1. Nobody else's child is ever waited for, nor signalled: only the process id that fork(2) returned, and that
   only until it was reaped.
2. `Child.close` leaves no zombie, however one gets there.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Final

import trio

from .in_child import flush_standard_streams, run_in_child

if TYPE_CHECKING:
    from collections.abc import Callable

    from .in_child import Report

_NO_LIMIT: Final = trio.CapacityLimiter(math.inf)
"""For threads that wait for a child: there are no more of them than children, and the rest of the program
must not have to wait for one."""
_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05
_THIS_MODULE: Final = re.compile(re.escape(__name__) + "$")


class Child:
    """A child process of our own.

    Attributes:
      pid: Its process id.
      ended: Whether it has ended, and was reaped.
      exit_status: As ``subprocess``'s ``returncode``; ``None`` while it runs, and when somebody else has
        reaped it: another part of the program, or the kernel where SIGCHLD is ignored, see waitpid(2).
      report: What it had to say, once it has ended.
    """

    __slots__ = ("_pidfd", "_reader", "ended", "exit_status", "pid", "report")

    def __init__(self, pid: int, reader: int) -> None:
        self.pid = pid
        self.ended = False
        self.exit_status: int | None = None
        self.report = b""
        self._reader = reader
        self._pidfd = _open_pidfd(pid)

    async def wait(self) -> None:
        """Wait until it has ended, and reap it. No checkpoint if it has. Cancellation: it runs on."""
        pause = _FIRST_PAUSE
        while not self.poll():
            if self._pidfd is not None:
                await trio.lowlevel.wait_readable(self._pidfd)
                continue
            if hasattr(os, "waitid"):
                with contextlib.suppress(RuntimeError):  # there is no thread to be had
                    # The thread ends when the child does, also when it is no longer waited for.
                    await trio.to_thread.run_sync(
                        _wait_in_thread, self.pid, abandon_on_cancel=True, limiter=_NO_LIMIT
                    )
                    continue
            await trio.sleep(pause)  # macOS before Python 3.13 comes here, too
            pause = min(_LONGEST_PAUSE, pause * 2)

    def poll(self) -> bool:
        """Reap it if it has ended; whether it has."""
        return self.ended or self._reap(os.WNOHANG)

    def _reap(self, options: int) -> bool:
        try:
            pid, status = os.waitpid(self.pid, options)
        except ChildProcessError:  # somebody else did
            self.ended = True
        else:
            if pid:
                self.ended = True
                self.exit_status = os.waitstatus_to_exitcode(status)
        if self.ended:
            with contextlib.suppress(OSError):  # a process that it has started may still have its end
                self.report = os.read(self._reader, 65536)
        return self.ended

    def send_signal(self, signum: signal.Signals) -> None:
        """Send it a signal, unless it has ended: never to another process that got its number."""
        if self.poll():
            return
        with contextlib.suppress(ProcessLookupError):
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, signum)
            else:
                os.kill(self.pid, signum)

    def close(self) -> None:
        """Forget it. If it still runs it is killed, and reaped, for which this blocks a moment."""
        try:
            if not self.poll():
                self.send_signal(signal.SIGKILL)
                self._reap(0)
        finally:
            os.close(self._reader)
            if self._pidfd is not None:
                os.close(self._pidfd)


def _open_pidfd(pid: int) -> int | None:
    """A descriptor to wait for the process with; ``None`` where there are none, or no more."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # EMFILE; a kernel before 5.3, or a sandbox that knows none of it
        return None


def _wait_in_thread(pid: int) -> None:
    """Wait until a child has ended, and leave it to be reaped."""
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def fork(serve: Callable[[Report], int]) -> Child:
    """Make a child process that calls ``serve(report)`` and exits with what that returns.

    ``report`` is to be called at most once, with a few bytes: `Child.report`. Everything in the child is a
    copy; what belongs to trio must not be touched there, and nothing that was called returns to its caller.

    No checkpoint. The caller is safe from Ctrl-C from here on until it has put the child where it is closed.

    Raises:
      OSError: fork(2) failed, EAGAIN say, or there are no more descriptors.
    """
    flush_standard_streams()  # or the child would write the rest a second time
    _permit_fork_beside_threads()
    reader, writer = os.pipe()
    pid = -1
    try:
        os.set_blocking(reader, False)
        # No signal may get to the child before it has left its parent: the handlers that it inherits are
        # trio's.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            # In here: it runs the handlers of signals that have come already, and these may raise.
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            pid = os.fork()
            if pid == 0:
                run_in_child(serve, reader, writer, mask)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    except BaseException:
        if pid > 0:  # a signal's handler raised this, once that was let in again
            Child(pid, reader).close()
        else:
            os.close(reader)
        raise
    finally:
        os.close(writer)
    return Child(pid, reader)


def _permit_fork_beside_threads() -> None:
    """Keep Python from warning of a fork where there are threads, by a filter for this module alone.

    The warning (from 3.12 on) is about locks that another thread may hold for ever in the child. It can not
    be followed: trio has worker threads. And where warnings are errors it is raised after the fork, in the
    parent, which then does not know that it has a child. A filter that is removed again would change other
    threads' filters, and each change makes Python repeat all warnings that it has given.
    """
    if sys.version_info < (3, 12):
        return
    ours = ("ignore", None, DeprecationWarning, _THIS_MODULE, 0)
    if not warnings.filters or warnings.filters[0] != ours:
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=_THIS_MODULE.pattern)
