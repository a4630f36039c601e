"""Connections that are served in place: accepting, counting and ending them. See `CallbackStream`.

To the engine they are requests like any others: registered, limited, timed, drained and cancelled. What they
do not have is a task, as long as they are served: the poller's task calls all their handlers. One is made
where something has to be waited for: `handle_error`, or a client that has not yet read the end of its reply.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import trio

from .._transports.callback_poller import CallbackPoller
from .._transports.callback_stream import CallbackStream
from .._vocabulary.reports import Outcome, RequestState
from .serve import announce, end_request, sort_out, watch_deadline

if TYPE_CHECKING:
    from collections.abc import Callable

    from .._transports.listeners import ListenerGroup
    from .engine import Engine
    from .hooks import Hooks
    from .requests import Request


class Callbacks:
    """Serves connections in place, for the length of one run of a server."""

    def __init__(self, engine: Engine, hooks: Hooks, group: ListenerGroup) -> None:
        self.poller = CallbackPoller()
        self.get_request = group.accept
        """Accepts a connection, waiting if there is none. No checkpoint once it is accepted (P2)."""
        self._engine = engine
        self._hooks = hooks
        self._group = group
        self._handler: Callable[[CallbackStream, Any, Hooks], Any] | None = None

    def begin(self, handler: Callable[[CallbackStream, Any, Hooks], Any]) -> None:
        """Accept connections for this class of handlers, until the accept loop begins anew."""
        self._handler = handler
        # No endpoint: nobody is to wait for it.
        make: Any = functools.partial(CallbackStream, self.poller, self._engine.deadlines, self._over)
        self._group.accept_with(make, make)

    def start(self) -> None:
        """Start the task. Not shielded from the end of the requests: it is what feels it, for all of them."""
        self._engine.in_place = self.poller
        self._engine.start(self.poller.run)

    def close(self) -> None:
        """Close the epoll, when nothing runs any more."""
        self._engine.in_place = None
        self.poller.close()

    @trio.lowlevel.enable_ki_protection
    def admit(self, engine: Engine, hooks: Hooks, request: Any, client_address: Any) -> None:
        """Begin to serve a connection: there is no moment at which it is nobody's (P2)."""
        stream: CallbackStream = request
        record = stream.record = engine.requests.add(stream, client_address)
        engine.counts.accepted += 1
        record.enter(RequestState.RUNNING)
        record.served_in(stream, None)
        try:
            announce(engine, hooks, record)
            watch_deadline(engine, record)
        finally:
            try:
                if self.poller.ended:  # the server is cancelled, as this connection would be at once
                    stream.cancel_now()
                else:
                    # So that a failure ends this connection, and not the accept loop (P4).
                    self.poller.call(stream, self._begin, stream)
            finally:
                self.poller.current = None

    @trio.lowlevel.disable_ki_protection
    def _begin(self, stream: CallbackStream) -> None:
        assert self._handler is not None
        handler = self._handler(stream, stream.record.client_address, self._hooks)
        if not self._engine.accepting:
            self._engine.tell_of_drain(stream.record)  # it was taken as the drain began: nobody has
        stream.begin(handler)

    def _over(self, stream: CallbackStream, error: BaseException | None) -> None:
        """Count a connection whose handler has finished, at once if it can be closed at once."""
        record, stream.record = stream.record, None  # no cycle
        if error is None:
            if stream.cancelled:
                stream.close_now()  # what fits
                self._end(record)
                return
            record.outcome = Outcome.FINISHED
            if stream.close_now():
                self._end(record)
                return
            record.enter(RequestState.CLOSING)
        stream.context.run(self._engine.start, self._end_in_task, record, error)
        record.served_in(None, None)

    def _end(self, record: Request[Any]) -> None:
        try:
            end_request(self._engine, record)
        except BaseException as error:  # of an observer that calls sys.exit(), say
            self._engine.fail(error)  # by raising, it would leave handlers that are not finished

    @trio.lowlevel.enable_ki_protection
    async def _end_in_task(self, record: Request[Any], error: BaseException | None) -> None:
        """What has to be waited for at the end of a connection."""
        engine, hooks = self._engine, self._hooks
        cancelled: BaseException | None = None
        try:
            with trio.CancelScope() as scope:
                record.served_in(scope, trio.lowlevel.current_task())
                if error is not None:
                    try:
                        raise error
                    except BaseException:
                        # Cancellation is of this task, not of what was handled.
                        cancelled = await sort_out(engine, hooks, record, error)
                record.enter(RequestState.CLOSING)
                if cancelled is None and not record.cancel_called and isinstance(error, Exception | None):
                    try:
                        await hooks.shutdown_request(record.request)
                    except BaseException as exc:
                        cancelled = await sort_out(engine, hooks, record, exc)
                if cancelled is not None:
                    raise cancelled
        finally:
            end_request(engine, record)
            del error, cancelled  # or the traceback, which has this frame, would keep itself alive
