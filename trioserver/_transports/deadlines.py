"""One task that watches the timeouts of all the streams of a server.

A cancel scope around each wait costs two thirds of a server's throughput (measured). Here a wait only notes
its deadline in the stream, and a heap holds *one* entry for each stream, which is looked at when it is due: a
stream that has moved its deadline meanwhile is put back at the new one. So a timeout fires when it is
due, exactly so under a ``MockClock``, and a busy stream costs one heap operation for each timeout's length.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final, Protocol

import trio

if TYPE_CHECKING:
    from collections.abc import Callable


class Watched(Protocol):
    """What can be watched: it waits until ``deadline``, and ``interrupt`` ends the wait."""

    @property
    def deadline(self) -> float:
        """When the wait that is under way has to end; infinity when there is none. Trio's clock."""
        ...

    watched_until: float
    """When the watch will look at it next; infinity when it will not. Written by the watch."""

    def interrupt(self) -> None:
        """End the wait."""


_SWEEP: Final = 64
"""Dead entries that are not worth a sweep."""


class DeadlineWatch:
    """A heap of deadlines and the task that looks at them.

    Not started until the first deadline is added: a server without timeouts has no such task.

    Args:
      start: Starts an async function as a task, which runs as long as there may be streams.
    """

    __slots__ = ("_discarded", "_heap", "_scope", "_serial", "_start")

    def __init__(self, start: Callable[..., object]) -> None:
        self._start = start
        self._heap: list[tuple[float, int, Watched]] = []
        self._serial = 0
        self._discarded = 0  # since the heap was swept
        self._scope: trio.CancelScope | None = None

    def stop(self) -> None:
        """Forget everything: the task has ended."""
        for _, _, watched in self._heap:
            watched.watched_until = float("inf")
        self._heap.clear()
        self._discarded = 0
        self._scope = None

    def add(self, watched: Watched, deadline: float) -> None:
        """Look at ``watched`` when ``deadline`` has come."""
        if watched.watched_until < float("inf"):
            self.discard(watched)
        watched.watched_until = deadline
        self._serial += 1
        heapq.heappush(self._heap, (deadline, self._serial, watched))
        if self._scope is None:
            self._scope = trio.CancelScope()
            self._start(self._run)
        elif deadline < self._scope.deadline:
            self._scope.deadline = deadline

    def discard(self, watched: Watched) -> None:
        """Look at ``watched`` no more.

        Its entry is dead from now on. Dead ones are swept out when they outnumber the living: short
        connections with a long timeout would otherwise pile up here until that is over (P9).
        """
        watched.watched_until = float("inf")
        self._discarded += 1
        if self._discarded > _SWEEP and self._discarded * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[0] == entry[2].watched_until]
            heapq.heapify(self._heap)
            self._discarded = 0

    async def _run(self) -> None:
        while True:
            scope = self._scope = trio.CancelScope(deadline=self._heap[0][0] if self._heap else float("inf"))
            with scope:
                await trio.sleep_forever()
            now = trio.current_time()
            while self._heap and self._heap[0][0] <= now:
                due, _, watched = heapq.heappop(self._heap)
                if due != watched.watched_until:
                    continue  # dead: the stream was closed, or got an earlier entry
                watched.watched_until = float("inf")
                if watched.deadline <= now:
                    watched.interrupt()
                elif watched.deadline < float("inf"):
                    self.add(watched, watched.deadline)
