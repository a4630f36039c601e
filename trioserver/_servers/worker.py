"""A call in a worker thread, on behalf of a request: its task waits for it, or leaves it."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from .loans import Loan

logger = logging.getLogger("trioserver")


# Ctrl-C must not strike between the cancellation of a request and what ends its thread.
@trio.lowlevel.enable_ki_protection
async def call_in_thread(
    function: Callable[[], object], loan: Loan, *, limiter: trio.CapacityLimiter, leave: bool, last: bool
) -> None:
    """Call ``function`` in a worker thread of trio's, with the context variables of this task.

    Args:
      function: What to call.
      loan: What it uses; closed when it raises, or when it is not called at all.
      limiter: How many threads there may be.
      leave: Whether to leave the thread to itself when cancelled.
      last: Whether the loan is closed, too, when the function returns.

    Raises:
      BaseException: What the function raised. Once cancelled, what that explains is ``trio.Cancelled``.

    Cancellation: ends what blocks in the thread, then waits until it has ended (P1), or leaves it.
    """
    call = _Call(function, loan, last=last)
    error: BaseException | None = None
    try:
        if leave:
            await call.run_or_leave(limiter)
        else:
            await call.run_to_the_end(limiter)
    except BaseException as exc:
        error = exc
    try:
        if not call.started:
            loan.close()
        if error is None or call.explains(error):
            try:
                await trio.lowlevel.checkpoint_if_cancelled()  # also where the thread was just done
            except trio.Cancelled:
                if error is not None:
                    logger.debug("Thread of a cancelled request: %s: %s", type(error).__name__, error)
                raise
        if error is not None:
            raise error
    finally:
        del error  # or its traceback would keep itself alive


class _Call:
    """The call, as seen from both threads.

    Attributes:
      started: Whether the function is, or was, called.
      cancelled: Whether the request was cancelled before it returned.
    """

    def __init__(self, function: Callable[[], object], loan: Loan, *, last: bool) -> None:
        self._function = function
        self._loan = loan
        self._last = last
        self._lock = threading.Lock()
        self._over = False
        self._left = False
        self._error: BaseException | None = None
        self.started = False
        self.cancelled = False

    def _call(self) -> None:
        """Call the function; in the thread."""
        with self._lock:
            if self._left:
                return  # before it was begun: then ``started`` is false, for good
            self.started = True
        try:
            self._function()
        except BaseException as exc:
            self._end(exc, close=True)
            if self._left and not self.explains(exc):
                logger.exception("Exception in a thread that was left to itself")  # nobody else hears of it
            raise
        else:
            self._end(None, close=self._last)

    def _end(self, error: BaseException | None, *, close: bool) -> None:
        try:
            if close:
                self._loan.close()
        finally:
            with self._lock:
                self._over = True
                if not self._left:
                    self._error = error

    def explains(self, error: BaseException) -> bool:
        """Whether the cancellation, if there was one, may be all that there is to say of this error.

        A client that goes as its request is cancelled may be faster than the cancellation.
        """
        if not isinstance(error, Exception):
            return False
        cancelled = self.cancelled and self._loan.cancellation_explains(error)
        return cancelled or self._loan.is_peers_doing(error)

    async def run_to_the_end(self, limiter: trio.CapacityLimiter) -> None:
        """Call it, and wait for it, whatever happens."""
        error: BaseException | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, name="trioserver: cancels a thread")
            try:
                await trio.to_thread.run_sync(self._call, limiter=limiter)
            except BaseException as exc:
                error = exc  # out of the nursery's reach, which would make it a group
            self._error = None
            self._over = True  # also if it was never begun
            nursery.cancel_scope.cancel()
        if error is not None:
            try:
                raise error
            finally:
                del error

    @trio.lowlevel.enable_ki_protection
    async def _watch(self) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:  # goes no further: the other task, which waits for the thread, goes on with it
            if not self._over:
                self.cancelled = True
                self._loan.cancel()

    async def run_or_leave(self, limiter: trio.CapacityLimiter) -> None:
        """Call it; when cancelled, leave it."""
        try:
            await trio.to_thread.run_sync(self._call, limiter=limiter, abandon_on_cancel=True)
        except trio.Cancelled:
            with self._lock:
                self._left = True
                self.cancelled = not self._over
            if self.cancelled:
                self._loan.leave()
            elif self._error is not None:  # trio has thrown away what the thread had to say
                raise self._error from None
            raise
        finally:
            self._error = None  # its traceback has frames that have this object: a cycle
