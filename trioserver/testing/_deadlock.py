"""Noticing that a program under the mock clock waits for what can never come.

With a real clock such a program hangs; under a clock that jumps it would too, and burn a processor. Where
both ends of a connection send and nobody reads, time even goes on: TCP asks for ever whether there is room.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import math
from time import perf_counter
from typing import TYPE_CHECKING, Any

import trio

from ._schedule import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

_THREAD = inspect.unwrap(trio.to_thread.run_sync).__code__
"""What a task is in while a thread works for it, whatever limiter counts the thread."""

PATIENCE = 1.0
"""Real seconds in which nothing may happen at all: another thread may be about to wake a task."""
SILENCE = 86400.0
"""Virtual seconds in which packets may go to and fro and no task hears of it. Connections give up in less."""
LOOPS = 1024
"""Turns of trio's loop between two looks. An idle one takes some microseconds."""


class Deadlock(RuntimeError):
    """Every task waits, no deadline is set, and no packet is under way: nothing can ever happen again.

    TCP's questions whether a window is still closed do not count, once nothing else has happened for a day.
    The message has a line for each task, with the place where it waits.
    """

    __module__ = "trioserver.testing"  # so a traceback has the name by which it is caught


class DeadlockWatch(trio.abc.Instrument):
    """Cancels a scope once nothing can happen any more; and what is shielded against that, if need be.

    What a look at trio's statistics suggests is not enough: from then on each task's step is watched, for
    `PATIENCE`. Before that it costs a call for each turn of the loop, not for each step.
    """

    def __init__(self) -> None:
        self.report: str | None = None
        """Where the tasks waited, once a deadlock was found."""
        self._turns = 0
        self._task: trio.lowlevel.Task | None = None
        self._scope: trio.CancelScope | None = None
        self._steps: _Steps | None = None

    def begin(self, scope: trio.CancelScope) -> None:
        """Watch from now on, and cancel this scope; called in the main task."""
        self._task = trio.lowlevel.current_task()
        self._scope = scope

    def end(self) -> None:
        """Watch no more."""
        self._scope = None
        self._forget()

    def after_io_wait(self, timeout: float) -> None:
        """Count the turns, and take a look at some of them."""
        self._turns += 1
        if self._turns % LOOPS == 0 and self._scope is not None:
            self._look()

    def _look(self) -> None:
        assert self._task is not None
        assert self._scope is not None
        if _may_go_on():
            self._forget()
        elif self._steps is None:
            self._steps = _Steps()
            trio.lowlevel.add_instrument(self._steps)
        elif self._steps.seen:
            self._forget()
        elif perf_counter() - self._steps.since > PATIENCE and (
            # Either no packet is to arrive any more, or none has made a difference for long.
            math.isinf(trio.lowlevel.current_statistics().seconds_to_next_deadline)
            or trio.current_time() - self._steps.begun > SILENCE
        ):
            self._forget()
            if _waits_for_thread(self._task):
                return
            if self.report is None:
                self.report = "\n".join(_describe(self._task, "  "))
                self._scope.cancel()
            else:
                _unshield()

    def _forget(self) -> None:
        if self._steps is not None:
            trio.lowlevel.remove_instrument(self._steps)
            self._steps = None


class _Steps(trio.abc.Instrument):
    """Whether any task has run since it was made, but for those in which packets arrive."""

    def __init__(self) -> None:
        self.seen = False
        self.begun = trio.current_time()
        self.since = perf_counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """A task runs."""
        self.seen = self.seen or task not in running.get({})


def _unshield() -> None:
    """Let the cancellation through to what waits shielded, as the end of a server does."""
    # trio lists no scopes of a task.
    for thing in gc.get_objects():
        if isinstance(thing, trio.CancelScope) and thing.shield:
            thing.shield = False


def _may_go_on() -> bool:
    with contextlib.ExitStack() as stack:
        for schedule in running.get({}).values():
            stack.enter_context(schedule.as_if_asleep())
        statistics = trio.lowlevel.current_statistics()
    if statistics.tasks_runnable or statistics.seconds_to_next_deadline < math.inf:
        return True
    # One task waits for a descriptor in each run: trio's own, for wake-ups from other threads.
    names = ("tasks_waiting_read", "tasks_waiting_write", "tasks_waiting")
    if sum(getattr(statistics.io_statistics, name, 0) for name in names) > 1:
        return True
    return trio.to_thread.current_default_thread_limiter().borrowed_tokens > 0


def _waits_for_thread(task: trio.lowlevel.Task) -> bool:
    """Whether a thread works for a task, or for one below it: a look at all tasks, for the last moment."""
    return any(frame.f_code is _THREAD for frame, _ in task.iter_await_frames()) or any(
        _waits_for_thread(child) for nursery in task.child_nurseries for child in nursery.child_tasks
    )


def _describe(task: trio.lowlevel.Task, indent: str) -> Iterator[str]:
    """A line for a task and for each below it."""
    yield f"{indent}{task.name} {_place(task.iter_await_frames())}"
    for nursery in task.child_nurseries:
        # Each with all below it, in an order that does not depend on where objects are in memory.
        yield from sorted("\n".join(_describe(child, indent + "  ")) for child in nursery.child_tasks)


def _place(frames: Iterator[tuple[FrameType, int]]) -> str:
    """The innermost place that is not in trio itself, nor in the simulated sockets."""
    place: Any = None
    for frame, line in frames:
        module = frame.f_globals.get("__name__", "")
        if module.partition(".")[0] != "trio" and not module.startswith("trioserver.testing."):
            place = f"waits at {frame.f_code.co_filename}:{line} in {frame.f_code.co_name}"
    return place or "waits"
