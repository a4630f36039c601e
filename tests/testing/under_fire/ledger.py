"""What a server says of itself, checked while it runs: each event against the promises."""

from __future__ import annotations

import math
import traceback
from typing import TYPE_CHECKING, Any, Final

import trio

import trioserver

from .accepting import Accepting
from .journal import Journal

if TYPE_CHECKING:
    from .plan import Plan

EPSILON: Final = 1e-6
"""For sums of floating point numbers: the mock clock is exact."""


class Ledger:
    """Watches one server.

    Attributes:
      journal: What handlers and clients noted.
      violations: Promises that were broken, the first one first.
      running: Whether the server is being served.
      started: Whether it has begun to accept.
      last_end: When the last request ended.
      hard_deadline: When requests that still run are cancelled; infinity while nobody has asked for it.
      fatal: What was raised to stop the server.
      cancelled: When a single request was cancelled, by its id.
      refused: The requests that ``verify_request`` turned away, by id.
      known_fds: The descriptors of listening sockets, and of those that became a request.
      handled: How often ``handle_error`` was called for a request.
    """

    def __init__(self, plan: Plan, server: Any, on_violation: Any) -> None:
        self.plan = plan
        self.server = server
        self.journal = Journal()
        self.violations: list[str] = []
        self.accepting = Accepting(self)
        self.running = False
        self.started = False
        self.crashed = False
        self.last_end = -math.inf
        self.hard_deadline = math.inf
        self.fatal: list[BaseException] = []
        self.cancelled: dict[int, float] = {}
        self.refused: dict[int, None] = {}
        self.handled: dict[int, int] = {}
        self.streams: dict[int, Any] = {}
        self.open: dict[int, trioserver.RequestAccepted] = {}
        self.ended: dict[int, trioserver.RequestEnded] = {}
        self.outcomes: dict[str, int] = {}
        self.known_fds: dict[int, int] = {}
        self.idle_at_drain: dict[int, int] = {}
        self.drained_at: float | None = None
        self.report: trioserver.ShutdownReport | None = None
        self._on_violation = on_violation
        server.add_observer(self.observe)

    def violated(self, promise: str, what: str) -> None:
        """A promise was broken: the run ends, and says so. What follows upon that is no news."""
        if self.violations:
            return
        self.violations.append(f"{promise}: at {trio.current_time():.6f} s, {what}; {self.plan}")
        self._on_violation()

    def check(self, holds: bool, promise: str, what: str) -> None:
        """The same, unless it was kept."""
        if not holds:
            self.violated(promise, what)

    def stop_asked(self, grace_period: float | None) -> None:
        """Somebody has asked the server to stop, or something makes it stop."""
        end = trio.current_time() + (math.inf if grace_period is None else grace_period)
        self.hard_deadline = min(self.hard_deadline, end)

    def begin_run(self) -> None:
        """The server is being served from now on, or one request of it."""
        self.running = True
        self.started = False
        self.crashed = False
        self.last_end = -math.inf
        self.hard_deadline = math.inf
        self.fatal = []
        self.outcomes = {}
        self.drained_at = None
        self.report = None
        self.accepting.begin()

    # Events.

    def observe(self, event: trioserver.ServerEvent) -> None:
        """Called by the server, which ignores what its observers raise."""
        try:
            self._observe(event)
        except Exception:
            self.violated("the scenario itself", traceback.format_exc())

    def _observe(self, event: trioserver.ServerEvent) -> None:
        self.check(event.time == trio.current_time(), "P3", f"an event of another time: {event}")
        match event:
            case trioserver.ServerStarted():
                self.check(self.running and self.report is None, "P3", "it started when nobody serves it")
                self.started = True
                self.known_fds.update((sock.fileno(), 0) for sock in self.server.sockets)
            case trioserver.RequestAccepted():
                self._accepted(event)
            case trioserver.RequestEnded():
                self._ended(event)
            case trioserver.AcceptPaused() | trioserver.AcceptResumed():
                self.accepting.told(event)
            case trioserver.ServerDraining():
                self.check(self.drained_at is None, "P5", "draining was begun twice")
                self.drained_at = event.time
                if not self._in_the_middle():
                    self.check(event.active == len(self.open), "P3", f"{event}, of {len(self.open)}")
                self.idle_at_drain = {
                    request.id: request.bytes_received
                    for request in self.server.requests
                    if request.state is trioserver.RequestState.IDLE
                }
            case trioserver.ServerStopped():
                self._stopped(event)
        self._check_statistics(event)

    def _accepted(self, event: trioserver.RequestAccepted) -> None:
        number = event.request_id
        self.check(self.running and self.report is None, "P3", f"accepted when nothing serves: {event}")
        self.check(number not in self.open and number not in self.ended, "P3", f"accepted twice: {event}")
        late = self.drained_at is not None and event.time > self.drained_at
        self.check(not late, "P5", f"accepted when the server drained: {event}")
        limit = self.server.max_requests
        room = limit is None or len(self.open) < limit
        self.check(room, "P6", f"{len(self.open)} requests, {limit} allowed, and one more: {event}")
        self.open[number] = event
        self.accepting.became_a_request()
        if not self.plan.in_place:
            request = next((each for each in self.server.requests if each.id == number), None)
            self.check(request is not None, "P2", f"it is not in server.requests: {event}")
            if request is not None:
                self.streams[number] = request.request
                if self.plan.streams:
                    self.known_fds[request.request.socket.fileno()] = number

    def _ended(self, event: trioserver.RequestEnded) -> None:
        number = event.request_id
        began = self.open.pop(number, None)
        self.check(number not in self.ended, "P3", f"ended twice: {event}")
        self.ended[number] = event
        self.last_end = event.time
        if began is None:
            self.violated("P3", f"ended and was not accepted: {event}")
            return
        outcome = event.outcome.value
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
        stream = self.streams.pop(number, None)
        if stream is not None and hasattr(stream, "closed"):
            self.check(stream.closed, "P1", f"ended and its connection is open: {event}")
            if self.plan.streams:
                self.check(stream.socket.fileno() == -1, "P1", f"ended and its socket is open: {event}")
        self._check_outcome(event)
        self._check_duration(event)

    def _check_outcome(self, event: trioserver.RequestEnded) -> None:
        """The outcome is what happened, and errors were handled, once each (P3, P4)."""
        number, outcome = event.request_id, event.outcome
        entry = self.journal.by_request.get(number)
        if not self.plan.in_place:
            how = "never called" if entry is None else entry.how
            expected = {
                "returned": (trioserver.Outcome.FINISHED,),
                "cancelled": (trioserver.Outcome.CANCELLED,),
                "failed": (trioserver.Outcome.FAILED,),
                "fatal": (trioserver.Outcome.FAILED,),
                "running": (),
                "never called": (trioserver.Outcome.CANCELLED, trioserver.Outcome.FAILED),
            }[how]
            if number in self.refused:
                expected = (trioserver.Outcome.REJECTED,)
                self.check(entry is None, "P3", f"rejected and its handler was called: {event}")
            self.check(outcome in expected, "P3", f"a handler {how}: {event}, {entry}")
        if entry is not None and entry.finish == "begun":
            self.violated("P4", f"finish had time enough, and was cut short: {event}, {entry}")
        if outcome is trioserver.Outcome.FAILED:
            error = event.error
            by_handshake = entry is None and isinstance(error, trioserver.HandshakeError)
            wanted = isinstance(error, Exception) and not by_handshake
            calls = self.handled.get(number, 0)
            if not self.plan.in_place:
                # When all sockets are gone at once the closing of a connection may fail as well.
                right = calls == wanted or (self.crashed and wanted and calls > 1)
                self.check(right, "P4", f"handle_error was called {calls} times: {event}")
        else:
            self.check(event.error is None, "P3", f"an error and none: {event}")
        if outcome is trioserver.Outcome.CANCELLED:
            allowed = (
                event.time >= self.hard_deadline - EPSILON
                or number in self.cancelled
                or trioserver.Timeout.REQUEST in event.timeouts
            )
            self.check(allowed, "P4", f"cancelled, and nobody asked for it: {event}, {entry}")

    def _check_duration(self, event: trioserver.RequestEnded) -> None:
        """What was cancelled ends within ``finish_timeout``, and idle connections at once (P5)."""
        plan, number, now = self.plan, event.request_id, event.time
        bounds = [(self.hard_deadline, "the end of the grace period")]
        if plan.request_timeout is not None:
            bounds.append((now - event.duration + plan.request_timeout, "its request_timeout"))
        if number in self.cancelled:
            bounds.append((self.cancelled[number], "its cancellation"))
        for bound, what in bounds:
            late = now - bound - plan.finish_timeout
            self.check(late < EPSILON, "P5", f"{late:g} s too late after {what}: {event}")
        if plan.kind == "tls" and number not in self.journal.by_request:
            longest = plan.verify_delay + plan.handshake_timeout + plan.linger_timeout
            self.check(event.duration < longest + EPSILON, "P8", f"a handshake without end: {event}")
        if self.drained_at is not None and self.idle_at_drain.get(number) == event.bytes_received:
            late = now - self.drained_at - plan.linger_timeout
            self.check(late < EPSILON, "P5", f"it was idle and held up the drain: {event}")

    def _stopped(self, event: trioserver.ServerStopped) -> None:
        self.check(self.report is None, "P3", "ServerStopped twice")
        self.check(not self.open, "P1", f"stopped with requests: {list(self.open.values())}")
        self.report = report = event.report
        for name in ("finished", "failed", "cancelled", "rejected"):
            told = self.outcomes.get(name, 0)
            self.check(getattr(report, name) == told, "P3", f"{report}, and events say {self.outcomes}")
        total = sum(self.outcomes.values())
        self.check(report.accepted == total, "P3", f"{report}, and events say {self.outcomes}")
        since = event.time if self.drained_at is None else self.drained_at
        same = abs(event.time - since - report.duration) < EPSILON
        self.check(same, "P3", f"it began at {since}, which is not {report}")

    def _in_the_middle(self) -> bool:
        """Whether a request is just being served in place: it is counted, and is never among the active."""
        return self.plan.in_place and len(self.open) > len(self.server.requests)

    def _check_statistics(self, event: trioserver.ServerEvent) -> None:
        if self._in_the_middle():
            return
        now = self.server.statistics()
        total = now.finished + now.failed + now.cancelled + now.rejected + now.active
        self.check(now.accepted == total, "P3", f"the counts do not add up after {event}: {now}")
        self.check(now.active == len(self.open), "P3", f"{len(self.open)} are open after {event}: {now}")
        self.check(now.accepted == self.accepting.taken, "P2", f"{self.accepting.taken} were taken: {now}")
