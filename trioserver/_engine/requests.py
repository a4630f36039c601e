"""The requests that exist: live records, and the registry that has them all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

from .._transports.stream import RequestStream
from .._vocabulary.reports import Outcome, RequestState

if TYPE_CHECKING:
    from collections.abc import Iterator

RequestT = TypeVar("RequestT")


class Request(Generic[RequestT]):
    """One accepted request, while it exists: what ``server.requests`` lists.

    Attributes:
      id: Counts up from 1 for each server; events carry it as ``request_id``.
      request: What the handler serves: the stream of a stream server.
      client_address: Where it came from.
      stream: The request, if it is a stream.
      accepted_at: When, on trio's clock.
      cancel_called: Whether `cancel` was called.
    """

    __slots__ = (
        "_phase",
        "_scope",
        "accepted_at",
        "cancel_called",
        "client_address",
        "error",
        "id",
        "outcome",
        "request",
        "stream",
    )

    def __init__(self, id: int, request: RequestT, client_address: Any, accepted_at: float) -> None:
        self.id: int = id
        self.request: RequestT = request
        self.stream: RequestStream | None = request if isinstance(request, RequestStream) else None
        self.client_address: Any = client_address
        self.accepted_at: float = accepted_at
        self._scope: trio.CancelScope | None = None
        self.cancel_called: bool = False
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

    def served_in(self, scope: trio.CancelScope | None) -> None:
        """The scope of the task that serves it from now on, or ``None`` when it has ended."""
        self._scope = scope
        if scope is not None and self.cancel_called:
            scope.cancel()

    def enter(self, phase: RequestState) -> None:
        """Go on to the next phase; the engine's business."""
        self._phase = phase

    @property
    def bytes_received(self) -> int:
        """Bytes read from the client so far; 0 for what is not a stream."""
        return self.stream.bytes_received if self.stream is not None else 0

    @property
    def bytes_sent(self) -> int:
        """Bytes sent to the client so far; 0 for what is not a stream."""
        return self.stream.bytes_sent if self.stream is not None else 0

    def cancel(self) -> None:
        """Cancel this request and no other. Its outcome is then ``CANCELLED``, unless it ends first.

        Does nothing when it has ended.
        """
        self.cancel_called = True
        if self._scope is not None:
            self._scope.cancel()

    def __repr__(self) -> str:
        return f"<Request {self.id} from {self.client_address!r}: {self.state.value}>"


class Registry:
    """All requests that exist, in the order in which they were accepted."""

    __slots__ = ("_last_id", "_records", "bytes_received", "bytes_sent")

    def __init__(self) -> None:
        self._records: dict[int, Request[Any]] = {}
        self._last_id = 0
        self.bytes_received = 0
        """By requests that have ended."""
        self.bytes_sent = 0

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Request[Any]]:
        return iter(tuple(self._records.values()))

    def add(self, request: Any, client_address: Any) -> Request[Any]:
        """Register what was accepted."""
        self._last_id += 1
        record = Request(self._last_id, request, client_address, trio.current_time())
        self._records[record.id] = record
        return record

    def remove(self, record: Request[Any]) -> None:
        """Forget a request that has ended."""
        del self._records[record.id]
        if record.stream is not None:
            self.bytes_received += record.stream.bytes_received
            self.bytes_sent += record.stream.bytes_sent
