"""Request tasks between two requests."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from .requests import Request

MAX_IDLE_TASKS: Final = 64
"""How many tasks of ended requests wait for others: as many as are accepted in one batch."""


class IdleTask:
    """A request task that waits to be given another request."""

    __slots__ = ("_record", "_task")

    def __init__(self) -> None:
        self._task = trio.lowlevel.current_task()
        self._record: Request[Any] | None = None

    def resume(self, record: Request[Any]) -> None:
        """Let the task serve ``record``, with the caller's context variables as a new task has them."""
        self._record = record
        self._task.context = contextvars.copy_context()
        trio.lowlevel.reschedule(self._task)

    async def wait(self, idle_tasks: list[IdleTask]) -> Request[Any]:
        """Wait in ``idle_tasks`` until somebody takes this one out and resumes it."""
        idle_tasks.append(self)

        def abort(_: object) -> trio.lowlevel.Abort:
            idle_tasks.remove(self)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(abort)
        assert self._record is not None
        return self._record
