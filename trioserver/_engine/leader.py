"""Leader and followers: one task serves requests one after the other, until one of them waits.

A task switch for each datagram is more than all else that is done for it. Here the accept loop gives a
request to a task, the *leader*, and parks. The leader serves it and, if that did not wait, takes the next
one by itself, and so on; between two of them trio has nothing to do. When there is none it waits for one,
and after `LEAD_BATCH` of them it lets others have their turn (P10). It gives the lead back, which wakes the
accept loop,

- when a request is about to wait. From then on the leader's task is that request's, like any other request
  task, and the accept loop goes on with another leader: a request that waits holds up nobody;
- when there are ``max_requests`` (P6), or when it can not take a request: the accept loop does what it does
  then (P7).

The lead lasts as long as the accept loop is parked, and no longer. Whatever else ends that wait (a
shutdown, a cancellation from outside, a limit that was lowered) ends it at once, in the same step: the
leader takes no request after it, and if it waits for one it is cancelled. There is no checkpoint between
taking a request and its first step (P2).

How does a leader know that a request is about to wait? It takes the first step of its coroutine by hand. If
that is all, the request did not wait; what it yields instead is yielded on to trio, as ``await`` would. So
it runs in one task and one cancel scope from beginning to end, and what it opens there stays valid. It runs
in a context of its own, and what it sets there is its own, be it that it waits or not.

As nothing else runs in that step, nobody can see the request but what it calls itself. So a request that is
in its first step has no `Request` yet: the registry asks for it, `Leader.see`, when somebody looks.

Requests that do not wait are served in the order in which they came, as in the stdlib's serial servers.
With a task for each the order is chance, as always among trio's tasks; so it still is for those that wait.
"""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING, Any

import trio

from .._vocabulary.reports import Outcome, RequestState
from .first_step import Rest, take_first_step
from .idle_tasks import MAX_IDLE_TASKS, IdleTask
from .lead import LEAD_BATCH
from .serve import announce, end_request, serve_request, sort_out, watch_deadline

if TYPE_CHECKING:
    from .hooks import Handle
    from .lead import Lead
    from .requests import Request


@trio.lowlevel.enable_ki_protection
async def lead_requests(lead: Lead, record: Request[Any]) -> None:
    """A request task that begins as the leader; otherwise it is as `serve_requests`."""
    engine = lead.engine
    idle = IdleTask(lead.idle)
    with trio.CancelScope() as scope:
        leader = Leader(lead, scope)
        home = leader.task.context
        try:
            while True:
                leader.begin()
                lead.claim(scope, record)
                rest = leader.serve_in_full(record)
                while rest is None and lead.leader is scope:
                    rest = leader.serve_others()
                    if rest is None and lead.leader is scope:
                        leader.forget()
                        leader.task.context = home  # of which the next request gets a copy
                        await leader.wait()
                if rest is not None:
                    lead.give_back_to_wait(scope, leader.served)
                    record = leader.see()
                    watch_deadline(engine, record)  # it could not come any earlier than this
                    try:
                        await rest
                    finally:
                        end_request(engine, record)
                    del rest
                if leader.cancel_called or not engine.accepting or len(lead.idle) >= MAX_IDLE_TASKS:
                    return
                leader.forget()
                leader.task.context = home
                del record
                record = await idle.wait()
                home = leader.task.context  # that of the accept loop, as it is now
        finally:
            if lead.leader is scope:
                lead.give_back()


class Leader:
    """What a leader's task knows of the request that it serves.

    Attributes:
      engine, hooks: The server's.
      task: The task.
      record: The request's, once somebody has looked.
      served: How many requests it has served since it got the lead; none of them has waited.
    """

    __slots__ = (
        "_client_address",
        "_empty",
        "_lead",
        "_request",
        "_scope",
        "_until",
        "_woken",
        "engine",
        "hooks",
        "record",
        "served",
        "task",
    )

    def __init__(self, lead: Lead, scope: trio.CancelScope) -> None:
        self._lead = lead
        self._scope = scope
        self.engine = lead.engine
        self.hooks = lead.hooks
        self.task = trio.lowlevel.current_task()
        self.begin()
        self.forget()

    def begin(self) -> None:
        """Called when there is another first request, with which the lead may come."""
        self.served = 0
        self._until = LEAD_BATCH
        self._empty = False  # there is nothing more to be taken
        self._woken = False  # nothing was taken yet since that was waited for

    def forget(self) -> None:
        """Keep nothing of the last request (P9)."""
        self.record: Request[Any] | None = None
        self._request: Any = None
        self._client_address: Any = None

    @property
    def cancel_called(self) -> bool:
        """Whether the request was cancelled, and so the scope: the next one needs another task."""
        return self.record is not None and self.record.cancel_called

    def serve_in_full(self, record: Request[Any]) -> Rest | None:
        """Serve a request that has a record until it ends, or waits: then, what is to be awaited."""
        self.record = record
        record.served_in(self._scope, self.task)
        if (handle := self._lead.handle) is None:
            serving = serve_request(self.engine, self.hooks, record)
        else:
            record.enter(RequestState.RUNNING)
            serving = _serve_in_short(self, handle, record.request, record.client_address)
        try:
            rest = take_first_step(serving, self.task)
        except BaseException:
            self.task.context.run(end_request, self.engine, record)
            raise
        if rest is None:
            self.served += 1
            self.task.context.run(end_request, self.engine, record)
        return rest

    async def wait(self) -> None:
        """Wait until there may be a request; where there may be one now, let others have their turn."""
        self._until = self.served + LEAD_BATCH
        if self._empty:
            self._empty = False
            self._woken = True
            await self._lead.wait()
        else:
            await trio.lowlevel.checkpoint()  # P10

    def serve_others(self) -> Rest | None:
        """Take and serve requests until there is none, or the lead ends, or one waits: the rest of that one.

        For a short datagram all that there is, beside its handler, is in this loop and `_serve_in_short`. A
        record for each cost a sixth more, and the same in more functions another sixth (measured).
        """
        lead, engine, hooks, task = self._lead, self.engine, self.hooks, self.task
        requests, counts, see, scope = engine.requests, engine.counts, self.see, self._scope
        handle, take = lead.handle, lead.take  # as long as it has the lead
        assert take is not None
        while lead.leader is scope:
            if self.record is not None and self.record.cancel_called:
                lead.give_back()  # the scope is cancelled, too
                break
            if self.served >= self._until:
                break  # P10
            if (limit := hooks.request_limit) is not None and len(requests) >= limit:
                lead.give_back()  # P6
                break
            try:
                request, client_address = take()
            except BaseException as error:
                self._empty = isinstance(error, BlockingIOError) and not self._woken
                if not self._empty:
                    # Its traceback has this frame, which has what was served last (P9).
                    lead.give_back(error.with_traceback(None))
                break
            self._woken = False
            counts.accepted += 1  # P2: no checkpoint between this and the request's first step
            if (
                handle is None
                or engine.observers
                or engine.admitted is not None
                or hooks.request_timeout is not None
            ):
                if (rest := self.serve_in_full(self._register(request, client_address))) is not None:
                    return rest
                continue
            self.record = None
            self._request = request
            self._client_address = client_address
            requests.unseen = see
            serving = _serve_in_short(self, handle, request, client_address)
            context = task.context = contextvars.copy_context()
            try:
                trap = context.run(serving.send, None)
            except StopIteration:
                self.served += 1
                if self.record is None:
                    requests.unseen = None
                    counts.finished += 1  # P3
                    requests.bytes_received += request.bytes_received
                else:
                    context.run(end_request, engine, self.record)
                continue
            except BaseException:
                context.run(end_request, engine, see())
                raise
            return Rest(serving, trap)
        if lead.leader is not scope:
            engine.room.unpark()  # what `end_request` does, for the last of those that had no record
            engine.end_if_done()
        return None

    def _register(self, request: Any, client_address: Any) -> Request[Any]:
        record = self.engine.requests.add(request, client_address)
        try:
            announce(self.engine, self.hooks, record)
        except BaseException as error:  # of an observer that calls sys.exit(), say: it stops accepting
            self._lead.give_back(error)
        return record

    @trio.lowlevel.enable_ki_protection
    def see(self) -> Request[Any]:
        """The record of the request that is being served; made when it is first looked at."""
        if self.record is None:
            requests = self.engine.requests
            requests.unseen = None
            self.record = requests.add(self._request, self._client_address)
            self.record.served_in(self._scope, self.task)
            self.record.enter(RequestState.RUNNING)
        return self.record


@trio.lowlevel.disable_ki_protection
async def _serve_in_short(leader: Leader, handle: Handle, request: Any, client_address: Any) -> None:
    """As `serve_request`, where the handler is all that has to be called."""
    cancelled: BaseException | None = None
    try:
        try:
            await handle(request, client_address, leader.hooks)
        except BaseException as exc:
            cancelled = await sort_out(leader.engine, leader.hooks, leader.see(), exc)
        else:
            if leader.record is not None:
                leader.record.outcome = Outcome.FINISHED
        if leader.record is not None:
            leader.record.enter(RequestState.CLOSING)
        if cancelled is not None:
            raise cancelled
    finally:
        del cancelled  # or its traceback would keep itself alive
