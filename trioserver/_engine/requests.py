"""The requests that exist: live records, and the registry that has them all."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import trio

from .._transports.stream import RequestStream
from .._vocabulary.errors import LifecycleError
from .._vocabulary.reports import Outcome, RequestState, Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RequestT = TypeVar("RequestT")


def in_trio_thread() -> bool:
    """Whether trio runs in this thread."""
    try:
        trio.lowlevel.current_trio_token()
    except RuntimeError:
        return False
    return True


def refuse_other_threads(method: str) -> None:
    """Raise LifecycleError outside of the trio thread, before anything is changed.

    A cancel scope that is cancelled elsewhere raises when it is half done: it counts as cancelled from then
    on, and what runs in it never ends, whoever cancels it later.
    """
    if not in_trio_thread():
        raise LifecycleError(
            f"{method}() is for the trio thread: another one calls it through trio.from_thread.run_sync()"
        )


class Cancellable(Protocol):
    """What a request is served in: a cancel scope, or what ends it where it is served in place."""

    def cancel(self) -> None:
        """End it soon."""


class Request(Generic[RequestT]):
    """One accepted request, while it exists: what ``server.requests`` lists.

    Attributes:
      id: Counts up from 1 for each server; events carry it as ``request_id``.
      request: What the handler serves: the stream of a stream server.
      client_address: Where it came from.
      stream: The request, if it is a stream.
      accepted_at: When, on trio's clock.
      cancel_called: Whether `cancel` was called, or ``request_timeout`` is over.
      exit_status: How the process ended that served it, where one did: as ``subprocess``'s ``returncode``.
    """

    __slots__ = (
        "_phase",
        "_scope",
        "_timeouts",
        "accepted_at",
        "cancel_called",
        "client_address",
        "deadline",
        "error",
        "exit_status",
        "id",
        "outcome",
        "request",
        "stream",
        "task",
        "watched_until",
    )

    def __init__(self, id: int, request: RequestT, client_address: Any, accepted_at: float) -> None:
        self.id: int = id
        self.request: RequestT = request
        # Not isinstance(), which for an abstract class takes four times as long.
        self.stream: RequestStream | None = (
            request if RequestStream in type(request).__mro__ else None  # type: ignore[assignment]
        )
        self.client_address: Any = client_address
        self.accepted_at: float = accepted_at
        self.task: trio.lowlevel.Task | None = None
        self._scope: Cancellable | None = None
        self.deadline: float = math.inf
        """When ``request_timeout`` is over, on trio's clock."""
        self.watched_until: float = math.inf
        self.cancel_called: bool = False
        self.exit_status: int | None = None
        self._timeouts: tuple[Timeout, ...] = ()
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self._phase = RequestState.VERIFYING

    @property
    def age(self) -> float:
        """Seconds since it was accepted."""
        return trio.current_time() - self.accepted_at

    @property
    def state(self) -> RequestState:
        """What it is doing."""
        if self._phase is RequestState.RUNNING and self.stream is not None and self.stream.idle:
            return RequestState.IDLE
        return self._phase

    def served_in(self, scope: Cancellable | None, task: trio.lowlevel.Task | None) -> None:
        """The task that serves it from now on, and its scope; ``None`` when it has ended."""
        self._scope = scope
        self.task = task
        if scope is not None and self.cancel_called:
            scope.cancel()

    def enter(self, phase: RequestState) -> None:
        """Go on to the next phase; the engine's business."""
        self._phase = phase

    @property
    def bytes_received(self) -> int:
        """Bytes read from the client so far: the request's own count, and 0 if it has none."""
        counted: int = getattr(self.request, "bytes_received", 0)
        return counted

    @property
    def bytes_sent(self) -> int:
        """Bytes sent to the client so far: the request's own count, and 0 if it has none."""
        counted: int = getattr(self.request, "bytes_sent", 0)
        return counted

    def cancel(self) -> None:
        """Cancel this request and no other. Its outcome is then ``CANCELLED``, unless it ends first.

        Does nothing when it has ended.

        Raises:
          LifecycleError: Called in another thread than trio's; nothing has happened then.
        """
        refuse_other_threads("cancel")
        self.cancel_called = True
        if self._scope is not None:
            self._scope.cancel()

    @property
    def timeouts(self) -> tuple[Timeout, ...]:
        """Which of its timeouts have fired so far, in order, each once."""
        noted: tuple[Timeout, ...] = getattr(self.request, "timeouts", self._timeouts)
        return noted

    def note_timeout(self, timeout: Timeout) -> None:
        """Note that a timeout fired, for the event and for the handler's ``finish``."""
        # A request that has timeouts of its own keeps all of them: it is at hand where they fire.
        if (note := getattr(self.request, "note_timeout", None)) is not None:
            note(timeout)
        elif timeout not in self._timeouts:
            self._timeouts += (timeout,)

    def interrupt(self) -> None:
        """The ``request_timeout`` is over; called by the deadline watch."""
        self.note_timeout(Timeout.REQUEST)
        self.cancel()

    def __repr__(self) -> str:
        return f"<Request {self.id} from {self.client_address!r}: {self.state.value}>"


class Registry:
    """All requests that exist, in the order in which they were accepted."""

    __slots__ = ("_last_id", "_records", "bytes_received", "bytes_sent", "unseen")

    def __init__(self) -> None:
        self._records: dict[int, Request[Any]] = {}
        self._last_id = 0
        self.unseen: Callable[[], object] | None = None
        """Adds the request that exists but has no record yet, if there is one; see ``leader``."""
        self.bytes_received = 0
        """By requests that have ended."""
        self.bytes_sent = 0

    def __len__(self) -> int:
        return len(self._records) if self.unseen is None else len(self._records) + 1

    def __iter__(self) -> Iterator[Request[Any]]:
        if self.unseen is not None:
            self.unseen()
        return iter(tuple(self._records.values()))

    def next_id(self) -> int:
        """The id of the next request."""
        self._last_id += 1
        return self._last_id

    def add(self, request: Any, client_address: Any, id: int | None = None) -> Request[Any]:
        """Register what was accepted, under an id that it may have been given before."""
        record = Request(self.next_id() if id is None else id, request, client_address, trio.current_time())
        self._records[record.id] = record
        return record

    def remove(self, record: Request[Any]) -> None:
        """Forget a request that has ended."""
        del self._records[record.id]
        counted = record if record.stream is None else record.stream  # which has its counts at hand
        self.bytes_received += counted.bytes_received
        self.bytes_sent += counted.bytes_sent
