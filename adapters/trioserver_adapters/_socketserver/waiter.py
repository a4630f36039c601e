"""How a thread that serves waits: trio does, and tells it."""

from __future__ import annotations

import contextlib
import enum
import math
import os
import queue
import select
from typing import TYPE_CHECKING

import trio

import trioserver

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from .._trio_thread import TrioThread

if hasattr(select, "poll"):

    def is_readable(fd: int, within: float | None = 0.0) -> bool:
        """Whether there is something to read, or an error, within so many seconds; None is for ever."""
        poller = select.poll()
        poller.register(fd, select.POLLIN)
        return bool(poller.poll(None if within is None else within * 1000))

else:

    def is_readable(fd: int, within: float | None = 0.0) -> bool:
        """Whether there is something to read, or an error, within so many seconds; None is for ever."""
        return bool(select.select([fd], [], [], within)[0])


class Signal(enum.Enum):
    """Why a wait has ended."""

    READY = "the descriptor is readable"
    EXPIRED = "the time is over"
    WOKEN = "somebody says that there is something to look at"


class Waiter:
    """One wait of one thread, with one deadline; it may be woken in between and go on.

    Args:
      thread: Where trio runs.
      timeout: In seconds, from the first `wait` on; None is for ever.
    """

    def __init__(self, thread: TrioThread, timeout: float | None) -> None:
        self._thread = thread
        self._timeout = timeout
        # Its `get` ends when a signal handler raises, its `put` may be called in one.
        self._mail: queue.SimpleQueue[tuple[int, Signal]] = queue.SimpleQueue()
        self._number = 0
        self._order: tuple[int | None, float] | None = None
        self._deadline = math.nan
        self._scope: trio.CancelScope | None = None

    def wake(self) -> None:
        """Let `wait` return; any thread."""
        self._mail.put((0, Signal.WOKEN))

    def wait(self, fd: int | None, pause: float = 0.0) -> Signal:
        """Wait until ``fd`` is readable, but ``pause`` seconds at least; None is no descriptor."""
        if self._order != (fd, pause):
            self._order = (fd, pause)
            self._number += 1
            self._thread.soon(self._begin, self._number, fd, pause)
        while True:
            try:
                self._thread.enter_wait(self.wake)
                number, signal = self._mail.get()
            finally:
                self._thread.leave_wait(self.wake)
            if number == self._number:
                self._order = None
                return signal
            if not number:
                return Signal.WOKEN

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Make trio wait no more: the descriptor may be closed after this."""
        self._thread.leave_wait(self.wake)  # again: a signal handler may have raised in the middle
        if self._order is not None:
            with contextlib.suppress(trioserver.ServerClosed):
                self._thread.call(self._end)

    # In trio's thread.

    def _begin(self, number: int, fd: int | None, pause: float) -> None:
        if self._scope is not None:
            self._scope.cancel()
        if math.isnan(self._deadline):
            self._deadline = math.inf if self._timeout is None else trio.current_time() + self._timeout
        self._scope = trio.CancelScope(deadline=self._deadline)
        self._thread.start_task(self._watch, self._scope, number, fd, pause)

    async def _watch(self, scope: trio.CancelScope, number: int, fd: int | None, pause: float) -> None:
        signal = Signal.WOKEN
        with scope:
            await trio.sleep(pause)
            if fd is None:
                await trio.sleep_forever()
            # It was closed when it is -1, or was closed meanwhile: the thread will see.
            with contextlib.suppress(OSError, ValueError, trio.ClosedResourceError):
                with contextlib.suppress(PermissionError):  # epoll has no regular files: always readable
                    await _wait_readable(fd)
                signal = Signal.READY
        if scope.cancelled_caught and trio.current_time() >= scope.deadline:
            signal = Signal.EXPIRED
        self._mail.put((number, signal))

    async def _end(self) -> None:
        if self._scope is not None:
            self._scope.cancel()
        await trio.lowlevel.checkpoint()  # it has run by then, and let go of the descriptor


async def _wait_readable(fd: int) -> None:
    try:
        await trio.lowlevel.wait_readable(fd)
    except trio.BusyResourceError:  # another thread serves the same server
        copy = os.dup(fd)
        try:
            await trio.lowlevel.wait_readable(copy)
        finally:
            os.close(copy)
