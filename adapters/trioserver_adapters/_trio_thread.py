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
import logging
import os
import queue
import threading
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import trio

import trioserver

from ._signals import SignalPipe

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

T = TypeVar("T")

logger = logging.getLogger("trioserver")

_running: Final[set[TrioThread]] = set()
"""The threads of this process whose loop runs. A plain set: of it a copy is made at one go."""


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
        self._name = name
        self._at_end = at_end
        self._clock = clock
        self._instruments = instruments
        self._thread: threading.Thread | None = None
        self._starting = threading.RLock()  # a signal handler may make a call, too
        self._first = threading.Lock()
        self._ready = threading.Event()
        self._calls: set[Call[Any]] = set()
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._signals: SignalPipe | None = None
        self.stop_asked = False
        self._stopping = trio.Event()
        self._ending = False
        self._failure: BaseException | None = None
        self.over = False

    def start(self) -> None:
        """Start it, unless that was done, and wait until calls can come.

        What interrupts this, Ctrl-C or a lack of threads, leaves it to the next call: one that was started
        all the same is the first then, and another one ends at once.
        """
        if not self._ready.is_set():
            with self._starting:
                if not self._ready.is_set():
                    # A daemon: the interpreter would wait for any other before it comes to `_stop_all`.
                    threading.Thread(target=self._run, name=self._name, daemon=True).start()
                self._ready.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def forked(self) -> bool:
        """Whether this process is a child of the one that has the thread."""
        return self._pid != os.getpid()

    def is_current(self) -> bool:
        """Whether the caller is this thread."""
        # Not when it is over: another thread may have its number then.
        return self._thread is not None and not self.over and self._thread.ident == threading.get_ident()

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
        while True:
            try:  # around all of it, or a signal could end the wait where it is not caught
                if call.ended:
                    break
                self.soon(call.begin)  # again after a signal: it begins but once
                if interrupts:
                    self.soon(interrupt or call.cancel, len(interrupts))
                if self.over:
                    call.abandon(self._failure)
                try:
                    self.enter_wait(call.wake)
                    call.wait()
                finally:
                    self.leave_wait(call.wake)
            except BaseException as exc:
                interrupts.append(exc)
        self.leave_wait(call.wake)
        self._calls.discard(call)
        try:
            if interrupts:
                raise interrupts[0] from call.error
            return call.result()
        finally:
            del call, interrupts  # or the traceback would keep itself alive

    def enter_wait(self, wake: Callable[[], object]) -> None:
        """The caller is about to wait: in the main thread ``wake()`` is called for each signal that comes."""
        if self._signals is not None:
            self._signals.enter(wake)

    def leave_wait(self, wake: Callable[[], object]) -> None:
        """The caller waits no more. May be called more than once."""
        if self._signals is not None:
            self._signals.leave(wake)

    def soon(self, function: Callable[..., object], *args: object) -> None:
        """Call ``function(*args)`` in the loop, soon; not at all when that has ended.

        Never waits, and may be called from signal handlers.
        """
        if self._token is not None:
            with contextlib.suppress(trio.RunFinishedError):
                self._token.run_sync_soon(function, *args)

    def stop(self) -> None:
        """End the loop, and wait until the thread has ended; not if it waits for the caller."""
        self.stop_soon()
        if self._thread is not None and not self.is_current() and not self.is_current_worker():
            self._thread.join()

    def stop_soon(self) -> None:
        """End the loop: run ``at_end``, then cancel what still runs in it."""
        if not self.forked:
            self.stop_asked = True  # also when it is just starting
            self.soon(self._stopping.set)

    # For the loop's own thread.

    def start_task(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Start a task, which must not raise, unless the loop is about to end."""
        if self._nursery is not None and not self._ending:
            self._nursery.start_soon(function, *args)

    async def start_in_background(self, function: Callable[..., Awaitable[object]]) -> None:
        """Start a task that goes on when the call has ended, and wait for its ``task_status.started()``."""
        assert self._nursery is not None  # a call runs in it
        await self._nursery.start(function)

    def _run(self) -> None:
        if not self._first.acquire(blocking=False):
            return
        self._thread = threading.current_thread()
        _running.add(self)
        try:
            trio.run(self._main, clock=self._clock, instruments=self._instruments)
        except BaseException as exc:
            self._failure = exc
        finally:
            self.over = True  # before that: a call that comes now sees it, or is seen here
            for call in tuple(self._calls):
                call.abandon(self._failure)
            self._ready.set()
            if self._signals is not None:
                self._signals.close()
            _running.discard(self)

    async def _main(self) -> None:
        self._signals = signals = SignalPipe()
        await self._run_calls(signals)

    async def _run_calls(self, signals: SignalPipe) -> None:
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(signals.watch)
            self._token = trio.lowlevel.current_trio_token()
            self._ready.set()
            try:
                if not self.stop_asked:
                    await self._stopping.wait()
            finally:
                with trio.CancelScope(shield=True):
                    try:
                        await self._at_end()
                    except Exception:
                        logger.exception("The server could not be closed")  # nobody else hears of it
                self._ending = True  # a nursery that is about to close takes no task
                self._nursery.cancel_scope.cancel()


class Call(Generic[T]):
    """One call: what is to run, and what came of it.

    Attributes:
      ended: Whether nothing more will come of it.
      error: What it raised.
    """

    def __init__(self, thread: TrioThread, function: Callable[[], Awaitable[T]]) -> None:
        self.ended = False
        # Not an Event: where a signal handler raises in its wait, that may raise something else instead.
        self._end: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.error: BaseException | None = None
        self._thread = thread
        self._function = function
        self._context = contextvars.copy_context()
        self._scope = trio.CancelScope()
        self._begun = False
        self._value: list[T] = []

    def wait(self) -> None:
        """Wait until it has ended, or somebody says `wake`, or a signal handler raises."""
        if not self.ended:
            self._end.get()

    def wake(self) -> None:
        """Let `wait` return; any thread."""
        self._end.put(None)

    def result(self) -> T:
        """What the function returned; or raises what it raised, as it is."""
        error, self.error = self.error, None  # whose traceback has this call
        if error is not None:
            try:
                raise error
            finally:
                del error
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
        except BaseException as exc:
            self.error = without_cancelled(exc)
            if self.error is None:
                raise  # the loop ends, and abandons what it has not finished
        self._ended()

    def abandon(self, reason: BaseException | None) -> None:
        """End it, unless it has ended: the loop has."""
        if not self.ended:
            self.error = reason or trioserver.ServerClosed(
                "the server was closed meanwhile, by server_close()"
            )
            self._ended()

    def _ended(self) -> None:
        self.ended = True  # before that: who is interrupted as he wakes looks at it again
        self.wake()


def without_cancelled(error: BaseException) -> BaseException | None:
    """What is left of an exception, or of a group of them, without the ``trio.Cancelled``."""
    if isinstance(error, BaseExceptionGroup):
        cancelled, rest = error.split(trio.Cancelled)
        return error if cancelled is None else rest  # not a copy where there is nothing to take out
    return None if isinstance(error, trio.Cancelled) else error


def _stop_all() -> None:
    """What nobody closed ends with the interpreter, in order: handlers are cancelled, and finish."""
    for thread in tuple(_running):
        if not thread.forked:
            thread.stop()


atexit.register(_stop_all)
