"""The programs of a host: cancelled when it crashes, run again when it restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import trio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

ResultT = TypeVar("ResultT")


class _StartedOnce:
    """What `nursery.start` waits for hears of the first start only: it is not there any more for a second."""

    def __init__(self, task_status: trio.TaskStatus[Any]) -> None:
        self._task_status: trio.TaskStatus[Any] | None = task_status

    def started(self, value: Any = None) -> None:
        """The program has started."""
        if self._task_status is not None:
            task_status, self._task_status = self._task_status, None
            task_status.started(value)


class Programs:
    """What runs on one host.

    Args:
      died: Told of an exception with which a program answers a crash. It goes nowhere else: of what a
        machine without power does, nobody hears.
    """

    __slots__ = ("_died", "_restarted", "_scopes", "_serial", "_up")

    def __init__(self, died: Callable[[Exception], object]) -> None:
        self._died = died
        self._up = True
        self._serial = 0
        self._scopes: dict[int, trio.CancelScope] = {}
        self._restarted: trio.Event | None = None

    def stop(self) -> None:
        """The host has crashed."""
        self._up = False
        for scope in self._scopes.values():
            scope.cancel()

    def go(self) -> None:
        """The host is up again."""
        self._up = True
        if self._restarted is not None:
            self._restarted.set()
            self._restarted = None

    async def run(
        self,
        async_fn: Callable[..., Awaitable[ResultT]],
        args: tuple[Any, ...],
        task_status: trio.TaskStatus[Any] | None,
    ) -> ResultT:
        """Run until it returns or raises while the host is up."""
        options = {} if task_status is None else {"task_status": _StartedOnce(task_status)}
        while True:
            while not self._up:
                if self._restarted is None:
                    self._restarted = trio.Event()
                await self._restarted.wait()
            if ended := await self.once(async_fn, args, options):
                return ended[0]

    async def once(
        self, async_fn: Callable[..., Awaitable[ResultT]], args: tuple[Any, ...], options: dict[str, Any]
    ) -> tuple[ResultT] | tuple[()]:
        """Run until it returns or raises, or the host crashes: what it returned, or nothing after a crash."""
        scope = trio.CancelScope()
        self._serial = serial = self._serial + 1
        self._scopes[serial] = scope
        try:
            with scope:
                result = await async_fn(*args, **options)
                if not scope.cancel_called:
                    return (result,)
        except Exception as error:
            if not scope.cancel_called:
                raise
            self._died(error)
        finally:
            del self._scopes[serial]
        return ()
