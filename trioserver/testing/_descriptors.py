"""Descriptors of simulated sockets: one task may wait to read, one to write, and either can be woken.

What trio's ``wait_readable`` and ``notify_closing`` are for the kernel's descriptors.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import trio

from ._addresses import error

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._cores import Core
    from ._fabric import Fabric
    from ._hosts import Host


class _Direction:
    """Who waits for one of the two things."""

    __slots__ = ("busy", "interrupted", "task")

    def __init__(self) -> None:
        self.busy = False  # whether a task waits, or makes as if it did
        self.task: trio.lowlevel.Task | None = None  # the one that has to be woken
        self.interrupted = False

    def wake(self) -> None:
        """Let the task that waits, if one does, look again."""
        task = self.task
        if task is not None:
            self.task = None
            trio.lowlevel.reschedule(task)

    def interrupt(self) -> None:
        """Let it raise ``trio.ClosedResourceError``."""
        if self.busy:
            self.interrupted = True
            self.wake()

    def _abort(self, _: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        self.task = None
        return trio.lowlevel.Abort.SUCCEEDED

    async def wait(self, is_ready: Callable[[], bool]) -> None:
        """Wait until it is ready, or until somebody wakes the task."""
        if self.busy:
            raise trio.BusyResourceError("another task is already waiting for this socket")
        self.busy = True
        try:
            if is_ready():
                await trio.lowlevel.checkpoint()
            else:
                self.task = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._abort)
        finally:
            self.busy = False
            interrupted, self.interrupted = self.interrupted, False
        if interrupted:
            raise trio.ClosedResourceError("this socket was closed, or who waits for it interrupted")


class Descriptor:
    """A number, and who waits for what is behind it.

    Attributes:
      network: Where it is.
      host: On which host.
    """

    def __init__(self, network: Fabric, host: Host) -> None:
        super().__init__()
        self.network = network
        self.host = host
        self._reading = _Direction()
        self._writing = _Direction()
        self._core: Core | None = None
        self._fd = self._number = host.new_fd(self)
        self.wake_reader = self._reading.wake
        self.wake_writer = self._writing.wake

    def __hash__(self) -> int:
        # Not the place in memory: trio.open_tcp_stream closes a set of sockets in the order of hashes (P11).
        return self._number

    def _open(self, core: Core) -> None:
        self._core = core
        core.watchers.append(self)

    def _opened(self) -> Core:
        """What is behind it.

        Raises:
          OSError: ``EBADF``: it is closed.
        """
        if self._core is None:
            raise error(errno.EBADF)
        return self._core

    def fileno(self) -> int:
        """A number that no descriptor of the system has; -1 once it is closed."""
        return self._fd

    def interrupt(self) -> None:
        """Make whoever waits look again, by ``trio.ClosedResourceError``; the socket stays open."""
        self._reading.interrupt()
        self._writing.interrupt()

    async def wait_readable(self) -> None:
        """Wait until a receive, or an accept, would do something. It may return early.

        Raises:
          trio.BusyResourceError: Another task waits for the same.
          trio.ClosedResourceError: The socket is closed, before or meanwhile, or `interrupt` is called.
        """
        core = self._core
        if core is None:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError("this socket was closed")
        await self._reading.wait(core.is_readable)

    async def wait_writable(self) -> None:
        """Wait until a send would do something. As `wait_readable`."""
        core = self._core
        if core is None:
            await trio.lowlevel.checkpoint()
            raise trio.ClosedResourceError("this socket was closed")
        await self._writing.wait(core.is_writable)

    async def _wait_to_send_again(self) -> None:
        """The same after there was no room."""
        core = self._core
        if core is None:
            raise trio.ClosedResourceError("this socket was closed")
        await self._writing.wait(core.may_send_again)

    def close(self) -> None:
        """Close at once; whoever waits gets ``trio.ClosedResourceError``. Closing twice is fine."""
        core = self._core
        if core is not None:
            self.host.drop_fd(self._fd)
            self._gone(core)
            if not core.watchers:
                core.close()

    def vanish(self) -> None:
        """The host has crashed."""
        core = self._core
        if core is not None:
            self._gone(core)
            if not core.watchers:
                core.vanish()

    def _gone(self, core: Core) -> None:
        self._core = None
        self._fd = -1
        core.watchers.remove(self)
        self.interrupt()
