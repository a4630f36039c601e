"""Threads that serve one request after another."""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Final

from .process import this_process

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[], object]

IDLE_SECONDS: Final = 1.0
"""How long a thread waits for more work: the interpreter, at its end, waits for one that is no daemon."""


class Workers:
    """The threads of one server that have nothing to do."""

    def __init__(self) -> None:
        self.process = this_process()
        self._idle: list[_Worker] = []

    def start(self, work: Work, *, daemon: bool) -> threading.Thread | None:
        """Let a thread do the work; returns it if it is a new one."""
        with contextlib.suppress(IndexError):  # one may end of its own accord at any moment
            while (worker := self._idle.pop()).daemon != daemon:
                worker.take(None)
            worker.take(work)
            return None
        worker = _Worker(self._idle, work, daemon=daemon)
        worker.start()
        return worker

    def close(self) -> None:
        """Let the idle ones end."""
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().take(None)


class _Worker(threading.Thread):
    """A thread that goes back to the idle ones when it has done its work."""

    def __init__(self, idle: list[_Worker], work: Work, *, daemon: bool) -> None:
        super().__init__(daemon=daemon)
        self._idle = idle
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._work.put(work)

    def take(self, work: Work | None) -> None:
        """Do this next, or end."""
        self._work.put(work)

    def run(self) -> None:
        while True:
            try:
                work = self._work.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                try:
                    self._idle.remove(self)
                except ValueError:  # somebody has taken it, and its work is about to come
                    work = self._work.get()
                else:
                    return
            if work is None:
                return
            work()
            del work  # and the request
            self._idle.append(self)
