"""Request tasks between two requests."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from .requests import Request

MAX_IDLE_TASKS: Final = 64
"""How many tasks of ended requests wait for others: as many as are accepted in one batch."""


class _Resumed:
    """What a task is resumed with: nothing; ``outcome.Value(None)`` says so, too, but each only once."""

    __slots__ = ()

    def unwrap(self) -> None:
        """Called by ``wait_task_rescheduled``, in the task."""


RESUMED: Any = _Resumed()


class IdleTask:
    """A request task that waits to be given another request, any number of times."""

    __slots__ = ("_idle_tasks", "_record", "_task")

    def __init__(self, idle_tasks: list[IdleTask]) -> None:
        self._idle_tasks = idle_tasks
        self._task = trio.lowlevel.current_task()
        self._record: Request[Any] | None = None

    def resume(self, record: Request[Any]) -> None:
        """Let the task serve ``record``, with the caller's context variables as a new task has them."""
        self._record = record
        self._task.context = contextvars.copy_context()
        trio.lowlevel.reschedule(self._task, RESUMED)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._idle_tasks.remove(self)
        return trio.lowlevel.Abort.SUCCEEDED

    # Ctrl-C must not leave a task in there that does not wait.
    @trio.lowlevel.enable_ki_protection
    async def wait(self) -> Request[Any]:
        """Wait in ``idle_tasks`` until somebody takes this one out and resumes it."""
        self._idle_tasks.append(self)
        await trio.lowlevel.wait_task_rescheduled(self._abort)
        record, self._record = self._record, None
        assert record is not None
        return record
