"""What trio does for a server of this module: its thread, from the first need to `server_close`."""

from __future__ import annotations

import collections
import contextlib
import os
import socket
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final

import trio

import trioserver

from .._options import check_seconds
from ..blocking import BlockingServer
from .backoff import EXHAUSTED, Backoff
from .linger import has_unread_input, linger_here
from .owner import Owned, Owner
from .process import this_process
from .waiter import Signal, Waiter, is_readable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._trio_thread import TrioThread

_ATTRIBUTE: Final = "_trioserver_adapters__companion"
_ADOPTED_AFTER: Final = 0.1
"""Seconds after which a request that still runs gets its task."""

_FOLLOWS_WITHIN: Final = 0.001
"""Seconds in which the thread that has just taken a request looks for the next one itself."""

_MOST_PENDING: Final = 64
"""Requests without a task among which nobody looks for those that have ended."""

_IDLE_SECONDS: Final = 0.2
"""How long trio's thread stays when nothing needs it: who comes back sooner need not start another."""

_of_parents: Final[list[Companion]] = []
"""Of the process that this one was forked from. What trio's thread has there must not be collected here."""


class PrivateClock(trio.abc.Clock):
    """The monotonic clock, taken where nobody finds it who freezes the clocks of all modules for a test."""

    def start_clock(self) -> None:
        """Nothing to start."""

    def current_time(self, _now: Callable[[], float] = time.monotonic) -> float:
        """Seconds."""
        return _now()

    def deadline_to_sleep_time(self, deadline: float) -> float:
        """Seconds."""
        return deadline - self.current_time()


class _Background(BlockingServer[Owner]):
    """An owner that serves in the background, and that nobody need close."""

    def __init__(self, pending: collections.deque[Owned]) -> None:
        self.owner = Owner(pending)
        super().__init__(self.owner, clock=PrivateClock())

    @property
    def thread(self) -> TrioThread:
        """The thread, which was started."""
        assert self._thread is not None
        return self._thread

    def __del__(self, *_: object) -> None:
        if self._thread is not None:
            self._thread.stop_soon()


class Companion:
    """What trio does for one server, in one process.

    Attributes:
      backoff: How long to pause before the next request is taken.
      closed: Whether the server was closed.
      limited: Whether the server has a ``max_requests``.
      in_child: Whether this process was forked for one request, and has no trio.
    """

    def __init__(self, server: object) -> None:
        self.process = this_process()
        self.backoff = Backoff()
        self.closed = False
        self.limited = False
        self.in_child = False
        self._server = weakref.ref(server)
        self._running: set[object] = set()
        self._pending: collections.deque[Owned] = collections.deque()
        self._adopts_later = False
        self._adopting = False  # for trio's thread alone
        self._inside = 0
        self._retires = False
        self._retired: TrioThread | None = None
        self._full = False
        self._busy = False
        self._looks = threading.RLock()  # a signal handler may close the server meanwhile
        self._waiters: set[Waiter] = set()
        self._lock = threading.RLock()
        self._background: _Background | None = None
        self._finalizer: weakref.finalize[..., object] | None = None

    # Trio's thread.

    def start(self) -> _Background:
        """Start trio, unless it runs. It ends with `stop`, with the server, or when nothing needs it."""
        with self._lock:
            if self._background is None or self._background.thread.over:
                self._background, background = None, _Background(self._pending)
                try:
                    background.start()
                except BaseException:  # Ctrl-C, or there is no descriptor or no thread left for it
                    with contextlib.suppress(Exception):  # the same again
                        background.server_close()
                    raise
                self._adopts_later = self._adopting = self._retires = False
                self._background = background  # not before it runs: nobody would come back from its waits
                self._finalizer = weakref.finalize(self._server(), background.thread.stop_soon)
                self._finalizer.atexit = False  # the thread sees to that itself
                if self._pending:  # begun while trio did not run
                    self._adopts_later = True
                    background.thread.soon(self._begin_adopting, background)
            return self._background

    def stop(self) -> None:
        """End trio's thread, and wait until it has. What still runs elsewhere is nobody's any more."""
        with self._lock:
            background, self._background = self._background, None
            retired, self._retired = self._retired, None
            if self._finalizer is not None:
                self._finalizer.detach()
        if background is not None:
            with contextlib.suppress(trioserver.ServerClosed):  # the last request has ended it
                background.call(background.owner.wait_lingered)
                background.server_close()
        if retired is not None:
            retired.stop()

    @contextlib.contextmanager
    def needed(self) -> Iterator[None]:
        """Trio's thread does not end in the block, once it was started.

        It does soon after it, unless requests run: a server that is dropped without being closed leaves no
        thread, as in the standard library.
        """
        with self._lock:
            self._inside += 1
        try:
            yield
        finally:
            if self.process is this_process():  # or a hook has forked, and neither lock nor thread are ours
                with self._lock:
                    self._inside -= 1
                self._retire_if_unneeded()

    def _retire_if_unneeded(self) -> None:
        background = self._background
        if background is not None and not (self._retires or self._inside or self._running):
            self._retires = True
            background.thread.soon(background.thread.start_task, self._retire, background)

    async def _retire(self, background: _Background) -> None:
        await trio.sleep(0 if self.closed else _IDLE_SECONDS)
        await background.owner.wait_lingered()
        with self._lock:
            self._retires = False
            if self._inside or self._running or self._background is not background:
                return
            self._background, self._retired = None, background.thread
            if self._finalizer is not None:
                self._finalizer.detach()
        background.thread.stop_soon()

    def close(self, fileno: Callable[[], int] = lambda: -1) -> None:
        """The server is being closed: let those who wait know, and let go of its descriptor."""
        self.closed = True
        with self._looks:  # who looks at the descriptor keeps it open, and its port in use
            pass
        if self._waiters and (background := self._background) is not None and (fd := fileno()) != -1:
            with contextlib.suppress(trioserver.ServerClosed):
                background.call(background.owner.notify_closing, fd)
        self.wake()

    def stop_if_idle(self) -> None:
        """End trio's thread, or let the last request do so that runs elsewhere."""
        if not self._running:
            self.stop()

    # Waiting.

    def wake(self) -> None:
        """Let those who wait look again; any thread, and signal handlers."""
        for waiter in tuple(self._waiters):
            waiter.wake()

    def wait_readable(
        self, fileno: Callable[[], int], timeout: float | None, stopping: Callable[[], bool]
    ) -> Signal:
        """Wait until a request can be taken, where `is_ready` says no: one is there, there is room, no pause.

        ``EXPIRED`` after ``timeout`` seconds; ``WOKEN`` when ``stopping()`` is true, or the descriptor
        closed, which is looked at when `wake` was called.
        """
        if timeout is not None and timeout <= 0:
            return Signal.EXPIRED
        try:
            background = self.start()
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            # No descriptors for trio. Of the callers only `handle_request` can get here, which nobody wakes.
            return Signal.READY if is_readable(fileno(), timeout) else Signal.EXPIRED
        pause = self.backoff.pause
        with self._waiter(background, timeout) as waiter:
            while not stopping():
                fd = fileno() if self._has_room() else None
                if fd == -1:
                    break
                signal = waiter.wait(fd, pause)
                # Another process or thread that waits for it, too, may have been faster than the mail:
                # who takes requests would block then, and hear of no shutdown.
                if signal is Signal.READY and fd is not None and not is_readable(fd):
                    pause = 0.0
                elif signal is not Signal.WOKEN:
                    self._busy = signal is Signal.READY
                    return signal
            return Signal.WOKEN

    def is_ready(self, fileno: Callable[[], int], stopping: Callable[[], bool]) -> bool:
        """Whether a request can be taken now; or very soon after another one."""
        if self.backoff.pause or not self._has_room():
            return False
        if (fd := fileno()) < 0 and stopping():
            return False
        ready = is_readable(fd)
        if not ready and self._busy:
            # Trio would have to be asked, and to answer: that takes as long, and more of the processor.
            with self._looks:
                ready = not self.closed and is_readable(fd, _FOLLOWS_WITHIN)
        self._busy = ready
        return ready  # not the attribute: another thread that serves may have seen another request

    def wait_woken(self, condition: Callable[[], bool]) -> None:
        """Wait until ``condition()`` is true: it is looked at when `wake` was called."""
        with self.needed(), self._waiter(self.start(), None) as waiter:
            while not condition():
                waiter.wait(None)

    @contextlib.contextmanager
    def _waiter(self, background: _Background, timeout: float | None) -> Iterator[Waiter]:
        """One that is known before it is looked at what may change: who changes it sees the waiter."""
        with Waiter(background.thread, timeout) as waiter:
            self._waiters.add(waiter)
            try:
                yield waiter
            finally:
                self._waiters.discard(waiter)

    # Requests that run elsewhere.

    def begin(self, request: object) -> None:
        """Count a request."""
        self._running.add(request)

    def own(self, request: Owned, *, at_once: bool = False) -> None:
        """Make trio the owner of a request: at once, or when it still runs after a moment.

        Waking trio for each, twice, costs more than the rest of a short request.
        """
        self._pending.append(request)
        if at_once or request.timeout is not None:
            background = self.start()
            background.thread.soon(background.owner.look)
        elif not self._adopts_later and (later := self._background) is not None:
            self._adopts_later = True
            later.thread.soon(self._begin_adopting, later)
        elif len(self._pending) > _MOST_PENDING:  # in vain, where trio does not run
            self._forget_ended()

    def _begin_adopting(self, background: _Background) -> None:
        if not self._adopting:
            self._adopting = True
            background.thread.start_task(self._adopt_later, background.owner)

    async def _adopt_later(self, owner: Owner) -> None:
        while self._adopting:
            due = len(self._pending)  # younger ones have their time
            await trio.sleep(_ADOPTED_AFTER)
            owner.look(due)
            self._adopts_later = False  # before that is looked at: what is appended from now on asks again
            self._adopting = self._adopts_later = len(self._pending) > due

    def _forget_ended(self) -> None:
        for _ in range(len(self._pending)):
            with contextlib.suppress(IndexError):  # trio looks, too
                if not (oldest := self._pending.popleft()).ended:
                    self._pending.append(oldest)

    def end(self, request: object) -> None:
        """Count a request no longer."""
        self._running.discard(request)
        if self._full:
            self.wake()
        self._retire_if_unneeded()

    def soon(self, function: Callable[..., object], *args: object) -> None:
        """Call a function in trio's thread, if it runs."""
        if (background := self._background) is not None:
            background.thread.soon(function, *args)

    def end_requests(self, grace_period: float) -> None:
        """Let those that run go on for so long, then end them; returns when they have ended."""
        check_seconds("grace_period", grace_period, "no bound")
        if self._running:
            background = self.start()
            with contextlib.suppress(trioserver.ServerClosed):  # the last one has ended meanwhile
                background.call(background.owner.end_requests, grace_period)
                with contextlib.suppress(trioserver.AlreadyServing):  # another call of this was faster
                    background.start()  # one that a pool begins only now is owned, too

    def _has_room(self) -> bool:
        limit: int | None = getattr(self._server(), "max_requests", None) if self.limited else None
        if limit is None or len(self._running) < limit:
            self._full = False
            return True
        self._full = True  # before that is looked at again: who ends a request sees it
        return len(self._running) < limit

    # The end of a connection.

    def copy_to_linger(self, request: object, timeout: float) -> socket.socket | None:
        """A copy of a connection that closing would reset, for `linger`; None where it would not."""
        check_seconds("linger_timeout", timeout)
        if not timeout or not has_unread_input(request):
            return None
        assert isinstance(request, socket.socket)
        return socket.socket(fileno=os.dup(request.fileno()))

    def linger(self, copy: socket.socket, timeout: float) -> None:
        """Keep the copy of a connection that was closed until the client has read all that was sent."""
        if self.in_child:
            linger_here(copy, timeout)
        else:
            background = self.start()
            background.thread.soon(background.thread.start_task, background.owner.linger, copy, timeout)


def companion_of(server: Any) -> Companion:
    """The companion of a server in this process; it can be asked for before ``__init__`` has ended (B03)."""
    state: dict[str, Companion] = vars(server)
    companion = state.get(_ATTRIBUTE)
    if companion is None or companion.process is not this_process():
        if companion is not None:
            _of_parents.append(state.pop(_ATTRIBUTE))
        companion = state.setdefault(_ATTRIBUTE, Companion(server))
    return companion
