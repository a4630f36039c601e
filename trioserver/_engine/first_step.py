"""The first step of a coroutine, taken by hand: that shows whether it waits."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import FrameType

    import trio


def take_first_step(coroutine: Coroutine[Any, Any, None], task: trio.lowlevel.Task) -> Rest | None:
    """Run a coroutine until it has ended or is about to wait: then, what is to be awaited.

    It has context variables of its own, a copy of those of ``task``, the current one: in this step by
    ``Context.run``, and in all that follow by being the task's context, in which trio runs it.

    Raises:
      BaseException: What the coroutine raised.
    """
    context = task.context = contextvars.copy_context()
    try:
        trap = context.run(coroutine.send, None)
    except StopIteration:
        return None
    return Rest(coroutine, trap)


class Rest:
    """To be awaited: what is left of a coroutine whose first step was taken, and what that has yielded."""

    __slots__ = ("_coroutine", "_trap", "_yielded")

    def __init__(self, coroutine: Coroutine[Any, Any, None], trap: Any) -> None:
        self._coroutine = coroutine
        self._trap = trap
        self._yielded = False

    def __await__(self) -> Rest:
        return self

    def __iter__(self) -> Rest:
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        """Go on; the first time, by yielding what was yielded in the first step."""
        if self._yielded:
            return self._coroutine.send(value)
        self._yielded = True
        trap, self._trap = self._trap, None
        return trap

    def throw(self, *error: Any) -> Any:
        """As a coroutine's."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """As a coroutine's."""
        self._coroutine.close()

    # Trio's ``Task.iter_await_frames`` goes by these: who prints where a task waits sees the coroutine's.

    @property
    def cr_frame(self) -> FrameType | None:
        """The coroutine's frame."""
        frame: FrameType | None = getattr(self._coroutine, "cr_frame", None)
        return frame

    @property
    def cr_await(self) -> Any:
        """What the coroutine awaits."""
        return getattr(self._coroutine, "cr_await", None)
