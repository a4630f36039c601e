"""The engine: two scopes in one nursery, and one way to stop.

    a nursery for the server's own tasks: what requests need until the last of them has ended
      the nursery whose scope is the scope of the *requests*
        the scope of *accept*: the loop that accepts, which makes each request a child of the nursery

1. Stopping is always: cancel *accept*, then give *requests* a deadline. Shutdown, a signal, an error, all go
   through `Engine.request_stop`; a cancellation from outside cancels both scopes by itself. (P5)
2. When `Engine.run` returns or raises, no request task runs and every request is closed. (P1)
3. A request task raises nothing but ``trio.Cancelled`` into the nursery; what else it raises is either
   handled, or kept in ``_failures`` and raised by `Engine.run`, bare. (P4)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from .._transports.deadlines import DeadlineWatch
from .._transports.outbox import Flusher
from .._vocabulary.events import ServerDraining, ServerStarted, ServerStopped
from .._vocabulary.lifecycle import RUNNING, Act, State, after
from .._vocabulary.reports import Counts, ServerStatistics, ShutdownReport
from .bare_nursery import open_bare_nursery
from .exceptions import merge, without_cancelled, without_our_layer
from .observers import Observers
from .requests import Registry, refuse_other_threads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .._transports.callback_poller import CallbackPoller
    from .idle_tasks import IdleTask
    from .requests import Request


class Engine:
    """Runs a server, time after time.

    Attributes:
      state: See ``trioserver._vocabulary.lifecycle``.
      requests: Those that exist.
      observers: Whom to tell.
      deadlines: Watches the timeouts of streams.
      flusher: Sends what streams have gathered.
      counts: How the requests of this run ended.
      accept_errors: How many errors of ``accept`` were skipped or waited out.
      idle_tasks: Request tasks that wait for another request.
      room: Where accepting waits while there are ``max_requests``.
      permit_scope: What the accept loop does with the permit to take one more request; ``None`` where it has
        to look again.
      run_number: Counts the calls of `run`.
      admitted: Where ``service_actions`` waits for the next request, where anybody does.
      in_place: What calls handlers in place, where that is done.
      patience: Seconds from its accept that a drain leaves a connection for its first request. 0, but for a
        server in whose place another one serves already: only there it costs nobody any time.
    """

    def __init__(self) -> None:
        self.state = State.NEW
        self.observers = Observers()
        self.requests = Registry()
        self.deadlines = DeadlineWatch(self.start_helper)
        self.flusher = Flusher(self.start_helper)
        self.counts = Counts()
        self._before = Counts()
        self.accept_errors = 0
        self.idle_tasks: list[IdleTask] = []
        self.room = trio.lowlevel.ParkingLot()
        self.permit_scope: trio.CancelScope | None = None
        self.admitted: trio.lowlevel.ParkingLot | None = None
        self.in_place: CallbackPoller | None = None
        self._report = ShutdownReport()
        self._failures: list[BaseException] = []
        self._task: trio.lowlevel.Task | None = None
        self._nursery: trio.Nursery | None = None
        self._helper_nursery: trio.Nursery | None = None
        self._accept_scope: trio.CancelScope | None = None
        self._service_nursery: trio.Nursery | None = None
        self._helper_scopes: dict[trio.CancelScope, None] = {}  # no set, whose order is chance (P11)
        self.run_number = 0
        self._told_started = False
        self._closing = False
        self._stopping_since = 0.0
        self.patience = 0.0
        self._draining = trio.Event()
        self._stopped = trio.Event()

    @property
    def running(self) -> bool:
        """Whether `run` is under way."""
        return self.state in RUNNING

    @property
    def accepting(self) -> bool:
        """Whether more requests may come."""
        return self._accept_scope is not None and self.state is State.SERVING

    @property
    def cancelling(self) -> bool:
        """Whether the scope of the requests is cancelled: what they raise then says nothing new."""
        return self._nursery is not None and self._nursery.cancel_scope.cancel_called

    @trio.lowlevel.enable_ki_protection
    async def run(
        self,
        accept: Callable[[], Awaitable[object]],
        *,
        release: Callable[[], object],
        end_request: Callable[[Engine, Request[Any]], object],
    ) -> ShutdownReport:
        """Serve: run ``accept`` until it returns or is stopped, then wait for the requests.

        Args:
          accept: Accepts requests and passes each to `start`. Not called when a shutdown was asked for
            before.
          release: Called when accepting has ended, before the drain.
          end_request: Called for each request that its task has left behind, which only Ctrl-C can do.

        Raises:
          BaseException: What stopped the server: bare if it is one, a group if they are several.
        """
        self.state = after(self.state, Act.SERVE)
        self._begin()
        cancelled: BaseException | None = None
        try:
            async with trio.open_nursery(strict_exception_groups=True) as self._helper_nursery:
                cancelled = await self._run_requests(accept, release)
                self._end_leftovers(end_request)
                for scope in self._helper_scopes:
                    scope.cancel()
        except BaseException as exc:
            late, failure = without_cancelled(without_our_layer(exc))
            cancelled = cancelled or late
            if failure is not None:
                self._failures.append(failure)
            del late, failure
        self._end()
        error = merge(self._failures) or cancelled
        self._failures = []
        if error is not None:
            try:
                raise error
            finally:
                del error, cancelled  # or the traceback would keep itself alive
        return self._report

    async def _run_requests(
        self, accept: Callable[[], Awaitable[object]], release: Callable[[], object]
    ) -> BaseException | None:
        """Accept, and wait for the requests; returns the cancellation from outside that ended it, if any."""
        cancelled: BaseException | None = None
        failure: BaseException | None = None
        try:
            async with trio.open_nursery(strict_exception_groups=True) as self._nursery:
                try:
                    if self.state is State.SERVING:
                        with trio.CancelScope() as self._accept_scope:
                            await accept()
                except BaseException as exc:
                    cancelled, failure = without_cancelled(exc)
                    if failure is not None:
                        self.fail(failure)
                    if cancelled is not None:
                        self.request_stop(0.0)
                        raise cancelled from None
                finally:
                    self._accept_scope = None
                    try:
                        self.request_stop(None)  # where ``accept`` just returned: wait for what it accepted
                    finally:
                        try:
                            release()
                        finally:
                            self.end_if_done()
            # What was cancelled was one of our own scopes; and one around us, too?
            await trio.lowlevel.checkpoint_if_cancelled()
            return None
        except BaseException as exc:
            cancelled, failure = without_cancelled(without_our_layer(exc))
            if failure is not None:
                self._failures.append(failure)
            return cancelled
        finally:
            del cancelled, failure  # or their tracebacks, which have this frame, would keep themselves alive

    def _end_leftovers(self, end_request: Callable[[Engine, Request[Any]], object]) -> None:
        """End the requests whose tasks could not, since Ctrl-C came just then (P1, P3)."""
        for record in self.requests:
            try:
                end_request(self, record)
            except BaseException as exc:  # of an observer that calls sys.exit(), say
                self._failures.append(exc)

    def _begin(self) -> None:
        self.run_number += 1
        self._failures = []
        self._task = trio.lowlevel.current_task()
        self._told_started = False
        self._stopping_since = trio.current_time()
        self._stopped = trio.Event()
        if self._draining.is_set():
            self._draining = trio.Event()

    def _end(self) -> None:
        self.deadlines.stop()
        self.flusher.stop()
        self._nursery = self._helper_nursery = self._service_nursery = self._task = self.permit_scope = None
        self._helper_scopes.clear()
        self.state = after(self.state, Act.END)
        if self._closing:
            self.state = after(self.state, Act.CLOSE)
        now = trio.current_time()
        self._report = self.counts.report(now - self._stopping_since)
        self._before = self._before.plus(self.counts)
        self.counts = Counts()
        self._draining.set()
        try:
            if self._told_started:
                self.observers.tell(ServerStopped(time=now, report=self._report))
        except BaseException as exc:  # of an observer that calls sys.exit(), say
            self._failures.append(exc)
        finally:
            self._stopped.set()

    def tell_started(self, server_address: Any) -> None:
        """Tell the observers that accepting begins."""
        self._told_started = True
        self.observers.tell(ServerStarted(time=trio.current_time(), server_address=server_address))

    def start_helper(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run ``function(*args)`` in a task of the server's own until the last request has ended.

        Shielded from the end of the requests: the ``finish`` of a cancelled handler still needs it.
        """
        assert self._helper_nursery is not None, "the server does not run"
        scope = trio.CancelScope(shield=True)
        self._helper_scopes[scope] = None
        self._helper_nursery.start_soon(self._run_helper, scope, function, args, name="trioserver: helper")

    async def _run_helper(
        self, scope: trio.CancelScope, function: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        with scope:
            await function(*args)
        self._helper_scopes.pop(scope, None)

    def start(self, function: Callable[..., Awaitable[object]], *args: object) -> None:
        """Make ``function(*args)`` a child task of the server: a request."""
        assert self._nursery is not None
        self._nursery.start_soon(function, *args, name="trioserver: request")

    # Stopping.

    def request_stop(self, grace_period: float | None) -> None:
        """Stop accepting, and cancel what still runs after ``grace_period`` seconds.

        Never waits. Asked for more than once, the earliest end holds.
        """
        if self._nursery is not None:
            refuse_other_threads("request_shutdown")  # before anything is changed (P5)
        first = self.state is State.SERVING
        self.state = after(self.state, Act.SHUT_DOWN)
        if self._nursery is None:
            return
        now = trio.current_time()
        if self._accept_scope is not None:
            self._accept_scope.cancel()
        scope = self._nursery.cancel_scope
        if grace_period == 0:
            scope.cancel()
        elif grace_period is not None:
            scope.deadline = min(scope.deadline, now + grace_period)
        if first:
            self._begin_drain(now, grace_period)  # last: it calls the observers

    def _begin_drain(self, now: float, grace_period: float | None) -> None:
        self._stopping_since = now
        self._draining.set()
        for record in self.requests:
            self.tell_of_drain(record)
        if self.patience:
            self.start_helper(self._lose_patience_later)
        if self._told_started:
            self.observers.tell(
                ServerDraining(time=now, grace_period=grace_period, active=len(self.requests))
            )

    def tell_of_drain(self, record: Request[Any]) -> None:
        """Let a connection end as soon as nothing is begun; one that is new may begin something first."""
        if record.stream is not None and (record.bytes_received or record.age >= self.patience):
            record.stream.begin_drain()

    def lose_patience(self) -> None:
        """What is new by now is idle as well, if it has begun nothing."""
        if self.patience:
            self.patience = 0.0
            for record in self.requests:
                self.tell_of_drain(record)

    async def _lose_patience_later(self) -> None:
        await trio.sleep(self.patience)
        self.lose_patience()

    def fail(self, error: BaseException) -> None:
        """Stop at once, and let `run` raise ``error``."""
        self._failures.append(error)
        self.request_stop(0.0)

    def end_if_done(self) -> None:
        """When accepting has ended and the last request too, end the tasks that wait for another one."""
        if self._accept_scope is None and not len(self.requests) and self._nursery is not None:
            self._nursery.cancel_scope.cancel()

    def close(self) -> None:
        """No serving after this, or after the run that is under way: nobody can start another in between."""
        if self.running:
            self._closing = True
        else:
            self.state = after(self.state, Act.CLOSE)

    def limit_changed(self, limit: int | None) -> None:
        """Let the accept loop look at the limit at once, be it raised or lowered (P6)."""
        if self.room:
            self.room.unpark_all()
        elif self.permit_scope is not None and limit is not None and len(self.requests) >= limit:
            self.permit_scope.cancel()
            self.permit_scope = None

    async def wait_no_requests(self) -> None:
        """Wait until all requests have ended; only where nothing accepts meanwhile."""
        while len(self.requests):
            await self.room.park()

    async def wait_stopped(self) -> ShutdownReport:
        """Wait until `run` has ended, at once if it is not under way; returns its report."""
        if self.running:
            await self._stopped.wait()
        else:
            await trio.lowlevel.checkpoint()
        return self._report

    async def wait_draining(self) -> None:
        """Wait until the server begins to stop."""
        await self._draining.wait()

    def is_own_task(self, task: trio.lowlevel.Task) -> bool:
        """Whether `run` waits for ``task``: a request, a task that it started, or a hook's."""
        own = (self._nursery, self._helper_nursery, self._service_nursery)
        if task is self._task:
            return True
        while (nursery := task.parent_nursery) is not None:
            if nursery in own:
                return True
            task = nursery.parent_task
        return False

    def request_of(self, task: trio.lowlevel.Task) -> Request[Any] | None:
        """The request that ``task``, or a task above it, serves."""
        if self.in_place is not None and self.in_place.current is not None:
            record: Request[Any] | None = self.in_place.current.record
            return record
        line = {task}
        while (nursery := task.parent_nursery) is not None:
            task = nursery.parent_task
            line.add(task)
        return next((record for record in self.requests if record.task in line), None)

    # Numbers.

    def statistics(self, max_requests: int | None) -> ServerStatistics:
        """A snapshot."""
        requests, totals = self.requests, self._before.plus(self.counts)
        return ServerStatistics(
            state=self.state,
            active=len(requests),
            max_requests=max_requests,
            accepted=totals.accepted,
            finished=totals.finished,
            failed=totals.failed,
            cancelled=totals.cancelled,
            rejected=totals.rejected,
            accept_errors=self.accept_errors,
            bytes_received=requests.bytes_received + sum(r.bytes_received for r in requests),
            bytes_sent=requests.bytes_sent + sum(r.bytes_sent for r in requests),
        )

    async def run_beside(
        self, beside: Callable[[], Awaitable[object]], function: Callable[[], Awaitable[object]]
    ) -> None:
        """Run ``function`` with ``beside`` in a task next to it, which ends with it."""
        async with open_bare_nursery() as self._service_nursery:
            self._service_nursery.start_soon(beside, name="trioserver: service actions")
            await function()
            self._service_nursery.cancel_scope.cancel()
