"""Requests that are served without a task: at once, in the accept loop's."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any, Final

import trio

from .._vocabulary.events import RequestAccepted, RequestEnded
from .._vocabulary.reports import Outcome
from .serve import end_request, sort_out
from .taking import Taking

if TYPE_CHECKING:
    from collections.abc import Callable

    from .engine import Engine
    from .hooks import Hooks
    from .requests import Request

IN_PLACE_BATCH: Final = 64
"""Requests that may be served before other tasks have their turn (P10)."""


class InPlace(Taking):
    """Serves requests in the accept loop's task: the one it is given, and then those that are at hand.

    Args:
      hooks: The server's.
      one: Serve no other request than the one given.
    """

    __slots__ = ("_handle", "_pauses", "_served")

    def __init__(self, hooks: Hooks, *, one: bool) -> None:
        super().__init__(hooks, None if one else hooks.get_request_nowait)
        self._handle = hooks.handle_in_place
        self._served = 0
        self._pauses = False

    @trio.lowlevel.enable_ki_protection
    def admit(self, engine: Engine, hooks: Hooks, request: Any, client_address: Any) -> None:
        """Serve a request, and those that are at hand (P2); stops where the accept loop would."""
        requests, counts, handle, take = engine.requests, engine.counts, self._handle, self.take
        permit = engine.permit_scope  # none from when anything is changed that the loop has to look at
        while True:
            counts.accepted += 1
            told = _tell_accepted(engine, request, client_address) if engine.observers else None
            context = contextvars.copy_context()  # as a task has it: what it sets is not the next request's
            try:
                context.run(_handle, handle, request, client_address)
            except BaseException as exc:
                record = requests.add(request, client_address, told.request_id if told else None)
                context.run(engine.start, _sort_out_in_task, engine, hooks, record, exc)
            else:
                counts.finished += 1  # P3
                try:
                    received = request.bytes_received
                except AttributeError:
                    received = 0
                requests.bytes_received += received
                if told is not None:
                    _tell_ended(engine, told, received)
            if engine.admitted is not None:
                engine.admitted.unpark()
            self._served += 1
            if self._served >= IN_PLACE_BATCH or engine.permit_scope is not permit:
                self._pauses = True
                return
            if take is None or not engine.accepting:
                return
            if (limit := hooks.request_limit) is not None and len(requests) >= limit:
                return  # P6
            try:
                request, client_address = take()
            except BaseException as error:
                # Its traceback has this frame, which has what was served last (P9).
                self.error = error.with_traceback(None)
                self._served = 0  # since `get_request` will wait
                return

    async def rest(self) -> None:
        """Let others have their turn, where it is time (P10), and a permit that was cancelled end."""
        if self._pauses:
            self._pauses = False
            self._served = 0
            await trio.lowlevel.checkpoint()


@trio.lowlevel.disable_ki_protection
def _handle(handle: Callable[[Any, Any], None], request: Any, client_address: Any) -> None:
    handle(request, client_address)


def _tell_accepted(engine: Engine, request: Any, client_address: Any) -> RequestAccepted:
    event = RequestAccepted(
        time=trio.current_time(), request_id=engine.requests.next_id(), client_address=client_address
    )
    try:
        engine.observers.tell(event)
    except BaseException:  # of an observer that calls sys.exit(), say: it stops the server
        end_request(engine, engine.requests.add(request, client_address, event.request_id))  # P3
        raise
    return event


def _tell_ended(engine: Engine, accepted: RequestAccepted, bytes_received: int) -> None:
    now = trio.current_time()
    engine.observers.tell(
        RequestEnded(
            time=now,
            request_id=accepted.request_id,
            client_address=accepted.client_address,
            outcome=Outcome.FINISHED,
            duration=now - accepted.time,
            bytes_received=bytes_received,
            bytes_sent=0,
            error=None,
        )
    )


@trio.lowlevel.enable_ki_protection
async def _sort_out_in_task(engine: Engine, hooks: Hooks, record: Request[Any], exc: BaseException) -> None:
    """Deal with what a handler without a task has raised."""
    try:
        with trio.CancelScope() as scope:
            record.served_in(scope, trio.lowlevel.current_task())
            try:
                raise exc
            except BaseException:
                # Cancellation is of this task, not of what was handled.
                cancelled = await sort_out(engine, hooks, record, exc)
            if cancelled is not None:
                raise cancelled
    finally:
        end_request(engine, record)
        del exc  # or the traceback, which has this frame, would keep itself alive
