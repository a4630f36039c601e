"""What `Workers` tell of their processes: frozen records, states, and the events for their observers.

An observer of workers is a plain function that takes one event, as an observer of a server is. What happens
in the workers themselves, to their requests, is told to the observers that are there, in those processes.

    WorkersStarted, then any number of
      WorkerStarted ... WorkerEnded   in pairs, by ``pid``; a few may come before WorkersStarted
      WorkerDelayed                   a worker has gone, or could not start: the next one has to wait
    WorkersStopped, always the last of a serve
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from .events import ServerEvent
from .reports import ShutdownReport


class WorkerState(enum.Enum):
    """What a worker is doing."""

    STARTING = "starting"
    """It imports your program and makes its server; it accepts nothing yet."""
    SERVING = "serving"
    """It accepts requests."""
    DRAINING = "draining"
    """It was told to stop, and waits for the requests that run."""
    ENDED = "ended"
    """The process has ended, and was reaped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerProcess:
    """A snapshot of one worker."""

    slot: int
    """Its place among the workers, from 0; who takes a worker's place has its number."""
    pid: int
    state: WorkerState
    age: float
    """Seconds since the process was started."""
    replaces: int
    """How many workers had its place before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersReport(ShutdownReport):
    """What became of the requests of all workers of one ``serve_forever()``, added up.

    ``accepted == finished + failed + cancelled + rejected``, as for each of them.
    """

    workers: int = 0
    """How many processes served, those that were replaced among them; not those that could not start."""
    unreported: int = 0
    """How many of them could not say what they had served, because they crashed or were killed: their
    requests are in none of the counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersStarted(ServerEvent):
    """All workers accept requests."""

    server_address: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStarted(ServerEvent):
    """A worker accepts requests."""

    slot: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerEnded(ServerEvent):
    """The process of a worker has ended, and was reaped. Also of one that never got to accept requests."""

    slot: int
    pid: int
    expected: bool
    """Whether it was told to, by a shutdown or a restart. If not, another takes its place."""
    exit_status: int
    """As ``subprocess``'s ``returncode``: negative for the signal that killed it."""
    report: ShutdownReport | None
    """What became of its requests; ``None`` when it could not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerDelayed(ServerEvent):
    """The next worker in a place is started later, since the last ones did not last.

    Nobody may be there meanwhile.
    """

    slot: int
    delay: float
    """Seconds until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersStopped(ServerEvent):
    """No worker is left."""

    report: WorkersReport
