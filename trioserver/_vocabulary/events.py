"""The events that a server tells its observers: frozen records, a contract of their own.

Each has ``time``, in seconds of trio's clock. An observer is a plain function that takes one event; it is
called in the server's own tasks, at once, and must not block. What it raises is logged through the logger
``trioserver`` and otherwise ignored: an observer can not stop a server.

    ServerStarted, then any number of
      RequestAccepted ... RequestEnded   in pairs, by ``request_id``
      AcceptPaused ... AcceptResumed     in pairs, unless the server stops while paused
    ServerDraining, once for each serve, when it begins to stop
    ServerStopped, always the last of a serve
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from .reports import Outcome, ShutdownReport, Timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent:
    """What all events have."""

    time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStarted(ServerEvent):
    """The server begins to accept requests."""

    server_address: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestAccepted(ServerEvent):
    """A request was accepted and is now a task."""

    request_id: int
    client_address: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestEnded(ServerEvent):
    """A request has ended and its connection is closed."""

    request_id: int
    client_address: Any
    outcome: Outcome
    duration: float
    """Seconds since it was accepted."""
    bytes_received: int
    bytes_sent: int
    error: BaseException | None
    """What it raised, when the outcome is ``FAILED``."""
    timeouts: tuple[Timeout, ...] = ()
    """Which of its timeouts fired, in order, each once."""
    exit_status: int | None = None
    """How the process ended that served it, where one did: as ``subprocess``'s ``returncode``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptPaused(ServerEvent):
    """No request is accepted for now; clients wait in the kernel's backlog.

    With ``reason == "max_requests"`` that is the backpressure you asked for: raise ``max_requests`` if it
    is too low. Otherwise ``reason`` is the name of an errno: ``EMFILE`` says that ``ulimit -n`` is too
    low, or that descriptors leak; one event is sent for a row of failures, however long.
    """

    reason: str
    error: OSError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptResumed(ServerEvent):
    """Requests are accepted again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerDraining(ServerEvent):
    """The server accepts no more and waits for the requests that run."""

    grace_period: float | None
    """Seconds they may take; ``None`` is no bound. A later, shorter shutdown is not a new event."""
    active: int
    """How many they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerStopped(ServerEvent):
    """Nothing of the server runs any more."""

    report: ShutdownReport


Observer: TypeAlias = Callable[[ServerEvent], object]
