"""The accept loop, one way out for each thing that can happen."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

import trio

from .._vocabulary.accept_errors import Backoff, Verdict, verdict
from .._vocabulary.events import AcceptPaused, AcceptResumed
from .in_place import InPlace
from .lead import Lead
from .leader import lead_requests
from .serve import admit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import TypeAlias

    from .engine import Engine
    from .hooks import Hooks, Source

    _Admit: TypeAlias = Callable[[Engine, Hooks, Any, Any], None]
    _Rest: TypeAlias = Callable[[], Awaitable[None]]

ACCEPT_BATCH: Final = 64
"""Requests that may be accepted without a checkpoint: bursts are taken with one wait, and a flood of
connections can not starve those that are there (P10)."""


async def accept_requests(engine: Engine, hooks: Hooks, *, one: bool = False) -> None:
    """Accept requests until cancelled, or one; each becomes a child task of the server."""
    backoff = Backoff()
    lead = Lead(engine, hooks, lead_requests)
    while engine.accepting:
        if _full(engine, hooks):
            await _wait_for_room(engine, hooks)
        # Cancelled when the limit is lowered, so that a wait for a request is not a permit from before (P6).
        with trio.CancelScope() as engine.permit_scope:
            if await _accept_while_permitted(engine, hooks, backoff, lead, one=one):
                return


async def _accept_while_permitted(
    engine: Engine, hooks: Hooks, backoff: Backoff, lead: Lead, *, one: bool
) -> bool:
    """Accept requests as long as ``max_requests`` permits; true when it accepted the ``one``."""
    in_a_row = 0
    failed = True  # as far as we know here
    source, take, rest = _begin(engine, hooks, lead, one=one)
    # Whatever ends accepting cancels it as well, but there may be many requests before the next checkpoint.
    while engine.accepting:
        if (limit := hooks.request_limit) is not None and len(engine.requests) >= limit:
            break
        try:
            request, client_address = await source.get_request()
        except OSError as error:
            if not engine.accepting:
                break  # the listener was closed, or broke, when it was no longer needed
            await _survive(engine, backoff, error)
            failed = True
            continue
        take(engine, hooks, request, client_address)  # P2: no checkpoint between this and get_request
        del request, client_address  # or the last one would be kept until the next has come (P9)
        if failed:
            if backoff.active:
                engine.observers.tell(AcceptResumed(time=trio.current_time()))
            backoff.reset()
            failed = False
        if one:
            return True
        if rest is not None:
            await rest()
        in_a_row += 1
        if in_a_row == ACCEPT_BATCH:
            in_a_row = 0
            await trio.lowlevel.checkpoint()  # P10
    return False


def _begin(engine: Engine, hooks: Hooks, lead: Lead, *, one: bool) -> tuple[Source, _Admit, _Rest | None]:
    """Choose how requests are served: where they come from, what serves one, what is awaited after each."""
    if (callbacks := hooks.begin_callbacks()) is not None:
        return callbacks, callbacks.admit, None
    if hooks.serves_in_place:
        in_place = InPlace(hooks, one=one)
        return in_place, in_place.admit, in_place.rest
    if not one and lead.begin():
        return lead, lead.admit, lead.returned
    return hooks, admit, None


def _full(engine: Engine, hooks: Hooks) -> bool:
    """Whether there are as many requests as there may be; the limit is read afresh each time."""
    limit = hooks.request_limit
    return limit is not None and len(engine.requests) >= limit


async def _wait_for_room(engine: Engine, hooks: Hooks) -> None:
    """Wait, before accepting, until a request has ended or the limit was raised (P6)."""
    now = trio.current_time
    engine.observers.tell(AcceptPaused(time=now(), reason="max_requests", error=None))
    while _full(engine, hooks):
        await engine.room.park()
    engine.observers.tell(AcceptResumed(time=now()))


async def _survive(engine: Engine, backoff: Backoff, error: OSError) -> None:
    """Skip an error of ``accept`` or wait it out; raise it when it is neither (P7)."""
    kind = verdict(error)
    if kind is Verdict.FATAL:
        raise error
    engine.accept_errors += 1
    if kind is Verdict.SKIP and not backoff.skipped():
        await trio.lowlevel.checkpoint()
        return
    if not backoff.active:
        assert error.errno is not None
        reason = errno.errorcode.get(error.errno, str(error.errno))
        engine.observers.tell(AcceptPaused(time=trio.current_time(), reason=reason, error=error))
    await trio.sleep(backoff.next_delay())


async def service(engine: Engine, hooks: Hooks) -> None:
    """Call ``service_actions`` after each batch of requests and at least every ``poll_interval`` seconds.

    It is a task of its own, which the accept loop wakes; so it runs when the loop has taken all that was
    there.
    """
    seen = 0  # and not what was accepted before this task came to run
    admitted = engine.admitted = trio.lowlevel.ParkingLot()
    while True:
        with trio.move_on_after(hooks.poll_interval):
            while engine.counts.accepted == seen:
                await admitted.park()
        seen = engine.counts.accepted
        await hooks.service_actions()
        await trio.lowlevel.checkpoint()
