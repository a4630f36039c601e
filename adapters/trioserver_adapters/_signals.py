"""Signals wake the main thread where it waits.

Python runs signal handlers in the main thread, between two of its instructions. A thread that blocks does not
come to that when the kernel has let another thread take the signal, or when it came a moment before: the wait
goes on, and Ctrl-C has no effect until something else ends it. The standard library's servers poll, and so
notice half a second later. Here Python's own C-level handler wakes trio's thread, see
``signal.set_wakeup_fd``, and that wakes the main one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable


class SignalPipe:
    """Where signals are written to while the main thread waits. Made, and closed, by trio's thread."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._wakes: list[Callable[[], object]] = []
        self._installed = False
        self._previous = -1
        self._closing = False
        self._left = threading.Event()
        self._left.set()

    def enter(self, wake: Callable[[], object]) -> None:
        """Call ``wake()``, in trio's thread, for each signal that comes from now on, until `leave`.

        Only in the main thread: the others do not run signal handlers. A descriptor that the program has set
        gets what it would have got.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        self._left.clear()
        if self._closing:  # who closes it sees that we are here, or we see that it is closed
            self._left.set()
            return
        self._wakes.append(wake)
        if not self._installed:
            self._installed = True  # before it is: `leave` undoes it, whatever strikes here
            self._previous = signal.set_wakeup_fd(self._sender.fileno(), warn_on_full_buffer=False)

    def leave(self, wake: Callable[[], object]) -> None:
        """The end of that. To be called again where a signal handler may have cut it short."""
        if threading.current_thread() is not threading.main_thread():
            return
        if wake in self._wakes:
            self._wakes.remove(wake)
        if self._installed and not self._wakes:
            current = signal.set_wakeup_fd(-1)
            again = self._previous if current in (-1, self._sender.fileno()) else current
            if again != -1:
                with contextlib.suppress(OSError, ValueError):  # it was closed meanwhile
                    signal.set_wakeup_fd(again)
            self._installed = False
        if not self._installed:
            self._left.set()

    async def watch(self) -> None:
        """Pass on what comes; a task."""
        while True:
            await trio.lowlevel.wait_readable(self._receiver)
            with contextlib.suppress(OSError):
                numbers = self._receiver.recv(4096)
                if self._previous != -1:
                    os.write(self._previous, numbers)
            for wake in tuple(self._wakes):
                wake()

    def close(self) -> None:
        """Close it, when the main thread has left: nobody else may get its number before that."""
        self._closing = True
        if self._left.wait(1):  # it was woken, and is about to
            self._receiver.close()
            self._sender.close()
