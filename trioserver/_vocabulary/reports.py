"""How requests end, and the frozen records that count them."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from .lifecycle import State


class Outcome(enum.Enum):
    """How a request ended: exactly one of these for each one accepted (P3)."""

    FINISHED = "finished"
    """The handler returned."""
    FAILED = "failed"
    """``verify_request`` or the handler raised an exception."""
    CANCELLED = "cancelled"
    """It was cancelled: by ``Request.cancel()``, at the end of a grace period, or from outside."""
    REJECTED = "rejected"
    """``verify_request`` said no."""


class RequestState(enum.Enum):
    """What a request that has not ended is doing."""

    VERIFYING = "verifying"
    """In ``verify_request``."""
    HANDSHAKE = "handshake"
    """In ``handshake_request``: the TLS handshake, where there is one."""
    RUNNING = "running"
    """In its handler."""
    IDLE = "idle"
    """In ``wait_request()``: between two requests of a persistent connection."""
    CLOSING = "closing"
    """The handler is done; the client gets the end of the reply."""


class Timeout(enum.Enum):
    """Which timeout of a request fired; each is named for the option or method that sets it."""

    REQUEST = "request_timeout"
    """The whole request took too long, and was cancelled."""
    HANDSHAKE = "handshake_timeout"
    """The client did not complete the handshake in time."""
    WAIT = "timeout"
    """One wait for the client took too long, and `StreamTimeout` was raised."""
    IDLE = "wait_request"
    """No further request came on a connection in time; or, ``session_timeout``, no datagram of a peer."""
    FINISH = "finish_timeout"
    """``finish`` took too long once the request was cancelled, and was cut short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownReport:
    """What became of the requests of one ``serve_forever()`` or ``handle_request()``.

    ``accepted == finished + failed + cancelled + rejected``: every request is in exactly one (P3).
    """

    accepted: int = 0
    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    rejected: int = 0
    duration: float = 0.0
    """Seconds from the start of the shutdown to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatistics:
    """A snapshot of a server; the counts are since it was made."""

    state: State
    active: int
    """Requests that exist now."""
    max_requests: int | None
    accepted: int
    finished: int
    failed: int
    cancelled: int
    rejected: int
    accept_errors: int
    """Errors of ``accept`` that were skipped or waited out."""
    bytes_received: int
    """Bytes read from the clients of requests that have ended, and of those that run."""
    bytes_sent: int


class Counts:
    """The mutable counts that the frozen records are taken from."""

    __slots__ = ("accepted", "cancelled", "failed", "finished", "rejected")

    def __init__(self) -> None:
        self.accepted = 0
        self.finished = 0
        self.failed = 0
        self.cancelled = 0
        self.rejected = 0

    def add(self, outcome: Outcome) -> None:
        """Count one request that ended."""
        if outcome is Outcome.FINISHED:
            self.finished += 1
        elif outcome is Outcome.FAILED:
            self.failed += 1
        elif outcome is Outcome.CANCELLED:
            self.cancelled += 1
        else:
            self.rejected += 1

    def plus(self, other: Counts | ShutdownReport) -> Counts:
        """The sum of both."""
        total = Counts()
        for name in self.__slots__:
            setattr(total, name, getattr(self, name) + getattr(other, name))
        return total

    def report(self, duration: float) -> ShutdownReport:
        """These counts as a report."""
        return ShutdownReport(
            accepted=self.accepted,
            finished=self.finished,
            failed=self.failed,
            cancelled=self.cancelled,
            rejected=self.rejected,
            duration=duration,
        )
