"""Trio in a thread of its own, and calls that other threads wait for.

1. A call ends: with what the function returned, with what it raised, or with `ServerClosed` when the loop
   ended first. Nobody waits for a loop that is not there.
2. Nothing polls. A call wakes the loop, its end wakes the caller.
3. What a signal handler raises in a caller that waits (Ctrl-C) does not end the wait by itself: the call is
   told to stop, once for each signal, and the exception is raised when it has.
"""

from __future__ import annotations

import atexit
import contextlib
import contextvars
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import trio

import trioserver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")

_running: Final[weakref.WeakSet[TrioThread]] = weakref.WeakSet()
"""The threads of this process whose loop may still run."""


class TrioThread:
    """A thread that runs trio from `start` to `stop`. Everything here may be called from any other thread."""

    def __init__(
        self,
        name: str,
        at_end: Callable[[], Awaitable[object]],
        *,
        clock: trio.abc.Clock | None = None,
        instruments: Sequence[trio.abc.Instrument] = (),
    ) -> None:
        self._pid = os.getpid()
        self._at_end = at_end
        self._clock = clock
        self._instruments = instruments
        # A daemon: the interpreter would wait for any other before it comes to `_stop_all`.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._starting = threading.Lock()
        self._ready = threading.Event()
        self._calls: set[Call[Any]] = set()
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._failure: BaseException | None = None
        self._over = False

    def start(self) -> None:
        """Start it, unless that was done, and wait until calls can come."""
        if self._starting.acquire(blocking=False):
            _running.add(self)
            self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def forked(self) -> bool:
        """Whether this process is a child of the one that has the thread."""
        return self._pid != os.getpid()

    def is_current(self) -> bool:
        """Whether the caller is this thread."""
        return self._thread.ident == threading.get_ident()

    def is_current_worker(self) -> bool:
        """Whether the caller is a worker thread that a task of this loop waits for, or has abandoned."""
        try:
            token = trio.from_thread.run_sync(trio.lowlevel.current_trio_token)
        except RuntimeError:  # neither of this loop nor of another one
            return False
        return token is self._token

    def call(
        self,
        function: Callable[[], Awaitable[T]],
        interrupt: Callable[[int], object] | None = None,
    ) -> T:
        """Run ``function()`` in a task of the loop and wait for its end.

        Args:
          function: Runs with a copy of the caller's context variables.
          interrupt: Called in the loop, with the number of exceptions that signal handlers have raised so far
            in the caller: it makes ``function`` end. By default the task is cancelled.
        """
        call = Call(self, function)
        self._calls.add(call)
        interrupts: list[BaseException] = []
        while not call.ended.is_set():
            try:
                self.soon(call.begin)  # again after a signal: it begins but once
                if interrupts:
                    self.soon(interrupt or call.cancel, len(interrupts))
                if self._over:
                    call.abandon(self._failure)
                call.ended.wait()
            except BaseException as exc:
                interrupts.append(exc)
        self._calls.discard(call)
        try:
            if interrupts:
                raise interrupts[0] from call.error
            return call.result()
        finally:
            del call, interrupts  # or the traceback would keep itself alive

    def soon(self, function: Callable[..., object], *args: object) -> None:
        """Call ``function(*args)`` in the loop, soon; not at all when that has ended.

        Never waits, and may be called from signal handlers.
        """
        if self._token is not None:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(function, *args)

    def stop(self) -> None:
        """Cancel what runs in the loop, and wait until the thread has ended; not if it waits for the caller."""
        self.stop_soon()
        if self._thread.ident is not None and not self.is_current() and not self.is_current_worker():
            self._thread.join()

    def stop_soon(self) -> None:
        """Cancel what runs in the loop."""
        if not self.forked:
            self.soon(self._cancel)

    # For the loop's own thread.

    def start_task(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start a task, which must not raise, unless the loop is about to end."""
        if self._nursery is not None:
            self._nursery.start_soon(function, *args)

    async def start_in_background(self, function: Callable[..., Awaitable[object]]) -> None:
        """Start a task that goes on when the call has ended, and wait for its ``task_status.started()``."""
        assert self._nursery is not None  # a call runs in it
        await self._nursery.start(function)

    def _cancel(self) -> None:
        if self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def _run(self) -> None:
        try:
            trio.run(self._main, clock=self._clock, instruments=self._instruments)
        except BaseException as exc:
            self._failure = exc
        finally:
            self._over = True  # before that: a call that comes now sees it, or is seen here
            for call in tuple(self._calls):
                call.abandon(self._failure)
            self._ready.set()
            _running.discard(self)

    async def _main(self) -> None:
        try:
            async with trio.open_nursery() as self._nursery:
                self._token = trio.lowlevel.current_trio_token()
                self._ready.set()
                await trio.sleep_forever()
        finally:
            self._nursery = None
            with trio.CancelScope(shield=True):
                await self._at_end()


class Call(Generic[T]):
    """One call: what is to run, and what came of it.

    Attributes:
      ended: Set when nothing more will come of it.
      error: What it raised.
    """

    def __init__(self, thread: TrioThread, function: Callable[[], Awaitable[T]]) -> None:
        self.ended = threading.Event()
        self.error: BaseException | None = None
        self._thread = thread
        self._function = function
        self._context = contextvars.copy_context()
        self._scope = trio.CancelScope()
        self._begun = False
        self._value: list[T] = []

    def result(self) -> T:
        """What the function returned; or raises what it raised, as it is."""
        if self.error is not None:
            raise self.error
        return self._value[0]

    # In the loop.

    def begin(self) -> None:
        """Start the task, once."""
        if not self._begun:
            self._begun = True
            self._context.run(self._thread.start_task, self._run)

    def cancel(self, _: int = 1) -> None:
        """Cancel the task."""
        self._scope.cancel()

    async def _run(self) -> None:
        try:
            with self._scope:
                self._value.append(await self._function())
        except trio.Cancelled:
            raise  # the loop ends, and abandons what it has not finished
        except BaseException as exc:
            self.error = exc
        self.ended.set()

    def abandon(self, reason: BaseException | None) -> None:
        """End it, unless it has ended: the loop has."""
        if not self.ended.is_set():
            self.error = reason or trioserver.ServerClosed(
                "the server was closed meanwhile, by server_close()"
            )
            self.ended.set()


def _stop_all() -> None:
    """What nobody closed ends with the interpreter, in order: handlers are cancelled, and finish."""
    for thread in tuple(_running):
        if not thread.forked:
            thread.stop()


atexit.register(_stop_all)
