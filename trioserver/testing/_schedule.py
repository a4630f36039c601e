"""What is to be called when, in the order of time, and the one task that does it."""

from __future__ import annotations

import math
from collections import deque
from contextlib import contextmanager
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Queue: TypeAlias = deque[tuple[Callable[[Any], object], Any, Callable[[Any], object] | None]]
    """What to call, with what, and whom to tell when it will not be called; in order."""

_BUDGET: Final = 1000
"""How many packets arrive in one go before other tasks have a turn."""

_SWEEP: Final = 64
"""Cancelled timers that are not worth a sweep."""


running: Final[trio.lowlevel.RunVar[dict[trio.lowlevel.Task, Schedule]]] = trio.lowlevel.RunVar("schedules")
"""The schedules of this run of trio, by the tasks that call what they have."""


class Timer:
    """A call that is to be made later."""

    __slots__ = ("_args", "_function", "_schedule")

    def __init__(self, schedule: Schedule, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self._schedule = schedule
        self._function: Callable[..., object] | None = function
        self._args = args

    @property
    def active(self) -> bool:
        """Whether the call is still to be made."""
        return self._function is not None

    def cancel(self) -> None:
        """Do not make the call. Harmless when it was made, or cancelled, before."""
        if self._function is not None:
            self._function, self._args = None, ()
            self._schedule.timer_cancelled()

    def fire(self) -> None:
        """Make the call now; for the schedule alone."""
        self._schedule.timer_done(cancelled=self._function is None)
        if self._function is not None:
            function, args = self._function, self._args
            self._function, self._args = None, ()
            function(*args)


class Schedule:
    """Calls functions at their times, and in the order of scheduling where these are equal.

    Nothing is called before the function that schedules it has returned, not even without any delay: all
    calls are made from the task `run`.

    Args:
      failed: Called with what a called function raises.
    """

    def __init__(self, failed: Callable[[BaseException], object]) -> None:
        self._failed = failed
        self._batch: float | None = None  # the time, while arrivals are being called
        # What is to be called, by time: what arrives at one time, which under a mock clock is most, is in one
        # queue, so that sending costs no heap operation. The queue's order is that of sending.
        self._queues: dict[float, Queue] = {}
        self._times: list[float] = []  # a heap of the keys, and perhaps some that are none any more
        self._due = -math.inf  # when the task wakes up; before it sleeps, nobody need wake it
        self._nap: trio.CancelScope
        self._task: trio.lowlevel.Task
        self._timers = 0  # in the queues, cancelled or not
        self._cancelled = 0

    @property
    def now(self) -> float:
        """Trio's time."""
        return trio.current_time() if self._batch is None else self._batch

    def call_later(self, delay: float, function: Callable[..., object], *args: Any) -> Timer:
        """Call ``function(*args)`` after so many seconds, after everything that is due by then already."""
        timer = Timer(self, function, args)
        when = self.now + delay
        queue = self._queues.get(when)
        if queue is None:
            queue = self._queue(when)
        queue.append((Timer.fire, timer, None))
        self._timers += 1
        return timer

    def call_soon(self, function: Callable[[Any], object], argument: Any) -> None:
        """Call ``function(argument)`` after everything that is due now already. It can not be cancelled."""
        when = self.now
        queue = self._queues.get(when)
        if queue is None:
            queue = self._queue(when)
        queue.append((function, argument, None))

    def timer_cancelled(self) -> None:
        """A timer will do nothing; sweep when most are of that kind."""
        self._cancelled += 1
        if self._cancelled > _SWEEP and self._cancelled * 2 > self._timers:
            self._sweep()

    def timer_done(self, *, cancelled: bool) -> None:
        """A timer has left the queues."""
        self._timers -= 1
        self._cancelled -= cancelled

    async def run(self) -> None:
        """Call what is due, for ever."""
        self._task = trio.lowlevel.current_task()
        schedules = running.get({})
        running.set(schedules)
        schedules[self._task] = self
        try:
            await self._run()
        finally:
            del schedules[self._task]

    @contextmanager
    def as_if_asleep(self) -> Iterator[None]:
        """Let trio's statistics leave out the time at which this has something to do."""
        if math.isinf(self._due):  # it is awake, or sleeps until it is woken
            yield
            return
        self._nap.deadline = math.inf
        try:
            yield
        finally:
            self._nap.deadline = self._due

    async def _run(self) -> None:
        while True:
            await trio.lowlevel.checkpoint_if_cancelled()
            self._call_due()
            wake_up = self._next_time()
            if wake_up <= trio.current_time():
                await trio.lowlevel.checkpoint()
                continue
            with trio.CancelScope(deadline=wake_up) as self._nap:
                self._due = wake_up
                await trio.lowlevel.wait_task_rescheduled(self._wake_up)

    def _wake_up(self, raise_cancel: object = None) -> trio.lowlevel.Abort:
        """Let the task go on; also what trio calls at the deadline, and when the task is cancelled.

        No exception is raised for a deadline that way, which saves a quarter of the time of each nap.
        """
        self._due = -math.inf
        trio.lowlevel.reschedule(self._task)
        return trio.lowlevel.Abort.FAILED  # which means: rescheduled by ourselves

    def _queue(self, when: float) -> Queue:
        """A new queue for a time; the task is woken where it would sleep for longer."""
        queue = self._queues[when] = deque()
        heappush(self._times, when)
        if when < self._due:
            if when <= self.now:
                self._wake_up()
            else:
                self._due = when
                self._nap.deadline = when
        return queue

    def _next_time(self) -> float:
        """When there is something to call again, cancelled timers not counted; infinity for never."""
        times, queues = self._times, self._queues
        while times:
            queue = queues.get(times[0])
            while queue and isinstance(queue[0][1], Timer) and not queue[0][1].active:
                queue.popleft()
                self.timer_done(cancelled=True)
            if queue:
                return times[0]
            queues.pop(heappop(times), None)
        return math.inf

    def _call_due(self) -> None:
        """Call what is due now, in order, and what becomes due through that."""
        times, queues = self._times, self._queues
        self._batch = now = trio.current_time()
        budget = _BUDGET
        try:
            while times and times[0] <= now and budget > 0:
                when = heappop(times)
                # It stays where it is meanwhile: what is sent without latency is appended to it.
                queue = queues.get(when)
                while queue:
                    function, argument, _ = queue.popleft()
                    try:
                        function(argument)
                    except BaseException as error:
                        self._failed(error)
                    budget -= 1
                    if budget <= 0 and queue:
                        heappush(times, when)
                        break
                else:
                    queues.pop(when, None)
        finally:
            self._batch = None

    def _sweep(self) -> None:
        """Take cancelled timers out of the queues."""
        emptied: list[float] = []
        for when, queue in self._queues.items():
            stay = [entry for entry in queue if not isinstance(entry[1], Timer) or entry[1].active]
            if len(stay) < len(queue):
                queue.clear()
                queue.extend(stay)
            # One that is due may be the one that is being worked on, and is deleted there.
            if not queue and (self._batch is None or when > self._batch):
                emptied.append(when)
        for when in emptied:
            del self._queues[when]
        self._times[:] = self._queues
        heapify(self._times)
        self._timers -= self._cancelled
        self._cancelled = 0
