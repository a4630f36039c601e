"""One request, from being accepted to being counted."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

import trio

from .._transports.addresses import format_address
from .._vocabulary.errors import TransportError
from .._vocabulary.events import RequestAccepted, RequestEnded
from .._vocabulary.reports import Outcome, RequestState
from .exceptions import sort_exception, without_cancelled
from .idle_tasks import MAX_IDLE_TASKS, IdleTask

if TYPE_CHECKING:
    from .engine import Engine
    from .hooks import Hooks
    from .requests import Request

logger = logging.getLogger("trioserver")


@trio.lowlevel.enable_ki_protection
def admit(engine: Engine, hooks: Hooks, request: Any, client_address: Any) -> None:
    """Make a request that was accepted a task.

    Synchronous, and safe from Ctrl-C: there is no moment at which the request is nobody's (P2).
    """
    record = engine.requests.add(request, client_address)
    engine.counts.accepted += 1
    if not engine.accepting:
        engine.tell_of_drain(record)  # it was taken as the drain began: nobody has
    if engine.idle_tasks:
        engine.idle_tasks.pop().resume(record)
    else:
        engine.start(serve_requests, engine, hooks, record)
    announce(engine, hooks, record)
    watch_deadline(engine, record)


def announce(engine: Engine, hooks: Hooks, record: Request[Any]) -> None:
    """Set a new request's deadline, and tell who wants to know that it is there."""
    # Only now that it has a task: a class's attribute may be no number by now (P2).
    if hooks.request_timeout is not None:
        record.deadline = record.accepted_at + hooks.request_timeout
    if engine.admitted is not None:
        engine.admitted.unpark()
    if engine.observers:
        engine.observers.tell(
            RequestAccepted(
                time=record.accepted_at, request_id=record.id, client_address=record.client_address
            )
        )


def watch_deadline(engine: Engine, record: Request[Any]) -> None:
    """Interrupt the request at its deadline, if it has one."""
    if record.deadline < math.inf:
        engine.deadlines.add(record, record.deadline)


@trio.lowlevel.disable_ki_protection
async def serve_requests(engine: Engine, hooks: Hooks, record: Request[Any]) -> None:
    """A request task. When its request has ended it waits a while for another one.

    Making a task and its cancel scope is a third of the cost of a short connection (measured), so
    a task is used again: with fresh context variables, and only if its scope was never cancelled.

    `serve_request` is written out in here, and not called: a coroutine more is a quarter of a kilobyte for
    each idle connection. So Ctrl-C may strike anywhere in here; a request that it leaves behind is ended by
    the engine, at the end of its run.
    """
    with trio.CancelScope() as scope:
        while True:
            record.served_in(scope, trio.lowlevel.current_task())
            cancelled: BaseException | None = None
            try:
                try:
                    if await begin_request(hooks, record):
                        await hooks.process_request(record.request, record.client_address)
                        if record.stream is not None and record.stream.outbox is not None:
                            await record.stream.flush_gathered()
                        record.outcome = Outcome.FINISHED
                except BaseException as exc:
                    cancelled = await sort_out(engine, hooks, record, exc)
                await close_request(engine, hooks, record, cancelled)
            except trio.Cancelled:
                # The nursery would keep it until all have ended: ten thousand then take a quarter longer,
                # most of it garbage collection (measured). What came from outside, the engine raises.
                if not engine.cancelling:
                    raise
            finally:
                del cancelled  # or its traceback would keep itself alive
                end_request(engine, record)
            if record.cancel_called or not engine.accepting or len(engine.idle_tasks) >= MAX_IDLE_TASKS:
                return
            del record
            record = await IdleTask(engine.idle_tasks).wait()


@trio.lowlevel.disable_ki_protection
async def serve_request(engine: Engine, hooks: Hooks, record: Request[Any]) -> None:
    """Serve one request: verify, shake hands, process, and the closing hook.

    For a leader, which takes the first step of it by hand. A datagram has nothing that could be gathered.
    """
    cancelled: BaseException | None = None
    try:
        try:
            if await begin_request(hooks, record):
                await hooks.process_request(record.request, record.client_address)
                record.outcome = Outcome.FINISHED
        except BaseException as exc:
            cancelled = await sort_out(engine, hooks, record, exc)
        await close_request(engine, hooks, record, cancelled)
    finally:
        del cancelled


async def begin_request(hooks: Hooks, record: Request[Any]) -> bool:
    """What comes before the handler; false if the request was rejected."""
    if not await hooks.verify_request(record.request, record.client_address):
        record.outcome = Outcome.REJECTED
        return False
    record.enter(RequestState.HANDSHAKE)
    handshake = hooks.handshake_request(record.request, record.client_address)
    if handshake is not None:
        await handshake
    record.enter(RequestState.RUNNING)
    return True


async def close_request(
    engine: Engine, hooks: Hooks, record: Request[Any], cancelled: BaseException | None
) -> None:
    """Call the closing hook. Raises ``cancelled``, or a cancellation of the hook."""
    record.enter(RequestState.CLOSING)
    try:
        # Once it is cancelled there is no time for a graceful end.
        await (hooks.shutdown_request if cancelled is None else hooks.close_request)(record.request)
    except BaseException as exc:
        cancelled = await sort_out(engine, hooks, record, exc) or cancelled
    try:
        if cancelled is not None:
            raise cancelled
    finally:
        del cancelled  # or its traceback would keep itself alive


def _reject_handshake(record: Request[Any], error: TransportError) -> None:
    """Note that the client failed at the handshake.

    That is no business of `handle_error`, which may be one that stops the server: whoever scans ports could.
    """
    record.outcome = Outcome.FAILED
    record.error = error
    logger.debug("Request from %s: %s", format_address(record.client_address), error)


async def sort_out(
    engine: Engine, hooks: Hooks, record: Request[Any], exc: BaseException
) -> BaseException | None:
    """Deal with what a step of a request raised; returns the cancellation in it, to be raised again (P4)."""
    if isinstance(exc, trio.Cancelled):
        return exc
    if isinstance(exc, TransportError) and record.state is RequestState.HANDSHAKE:
        _reject_handshake(record, exc)
        return None
    cancelled, error, fatal = sort_exception(exc)
    if error is not None:
        record.outcome = Outcome.FAILED
        record.error = error
        try:
            if error is exc:
                await hooks.handle_error(record.request, record.client_address)
            else:
                await _handle_part(hooks, record, error)
        except BaseException as raised:
            late, failure = without_cancelled(raised)
            cancelled = cancelled or late
            if failure is not None:
                engine.fail(raised if late is None else failure)  # by raising, it stops the server
    if fatal is not None:
        record.outcome = Outcome.FAILED
        record.error = record.error or fatal
        engine.fail(fatal)
    return cancelled


async def _handle_part(hooks: Hooks, record: Request[Any], error: Exception) -> None:
    """Call ``handle_error`` so that ``sys.exc_info()`` there is ``error``, a part of what was raised."""
    context = error.__context__
    try:
        raise error
    except Exception:
        error.__context__ = context
        await hooks.handle_error(record.request, record.client_address)
    finally:
        del error, context  # or the traceback, which has this frame, would keep itself alive


@trio.lowlevel.enable_ki_protection
def end_request(engine: Engine, record: Request[Any]) -> None:
    """Count a request and forget it."""
    record.served_in(None, None)
    if record.deadline < math.inf:
        record.deadline = math.inf
        if record.watched_until < math.inf:
            engine.deadlines.discard(record)
    if record.stream is not None:
        record.stream.close()  # P1, also when an overridden close_request did not
    outcome = record.outcome or Outcome.CANCELLED
    engine.counts.add(outcome)  # P3
    engine.requests.remove(record)
    if engine.room:
        engine.room.unpark()
    engine.end_if_done()
    if engine.observers:
        now = trio.current_time()
        engine.observers.tell(
            RequestEnded(
                time=now,
                request_id=record.id,
                client_address=record.client_address,
                outcome=outcome,
                duration=now - record.accepted_at,
                bytes_received=record.bytes_received,
                bytes_sent=record.bytes_sent,
                error=record.error,
                timeouts=record.timeouts,
                exit_status=record.exit_status,
            )
        )
    record.error = None  # its traceback has frames that have the record: a cycle
