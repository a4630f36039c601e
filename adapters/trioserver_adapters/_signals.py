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
    from collections.abc import Callable, Iterator


class SignalPipe:
    """Where signals are written to while the main thread waits.

    Closed when the last one lets go of it, trio's thread or the main one: before that its number may be the
    one that signals are written to.
    """

    def __init__(self) -> None:
        self._ends = self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)
        self._previous = -1
        self._wake: Callable[[], object] | None = None

    def __del__(self) -> None:
        for end in getattr(self, "_ends", ()):
            end.close()

    @contextlib.contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call ``wake()``, in trio's thread, for each signal that comes in the block.

        Only in the main thread: the others do not run signal handlers. A descriptor that the program has set
        gets what it would have got, and is set again in the end.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        ours, installed = self._sender.fileno(), False
        try:
            self._wake = wake
            self._previous = signal.set_wakeup_fd(ours, warn_on_full_buffer=False)
            installed = True
            yield
        finally:
            if installed and (current := signal.set_wakeup_fd(-1)) != -1:
                with contextlib.suppress(OSError, ValueError):  # that one was closed meanwhile
                    signal.set_wakeup_fd(self._previous if current == ours else current)
            self._wake = None

    async def watch(self) -> None:
        """Pass on what comes; a task."""
        while True:
            await trio.lowlevel.wait_readable(self._receiver)
            with contextlib.suppress(OSError):
                numbers = self._receiver.recv(4096)
                if self._previous != -1:
                    os.write(self._previous, numbers)
            if (wake := self._wake) is not None:
                wake()
