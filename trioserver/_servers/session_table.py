"""The sessions of a `UDPSessionServer`, by peer."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from .._transports.datagram_session import DatagramSession

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container

    from .._transports.datagram_losses import LossCounts
    from .._transports.datagram_socket import Datagram, DatagramSocket
    from .._transports.deadlines import DeadlineWatch

    _Key: TypeAlias = tuple[DatagramSocket, Any]


class SessionOptions(Protocol):
    """The options of a server that its sessions read, each time anew."""

    session_timeout: float | None
    max_queued_datagrams: int


class SessionTable:
    """Which datagram is whose; what sessions know of their server.

    A session is known by the peer's address and the socket where it came in, which replies go out through.

    Args:
      options: The server's.
      watch: What ends a wait when the peer has said nothing for too long.
      losses: Where to count what is dropped.
      on_left_over: Called when a session has left something to `left_over`.

    Attributes:
      draining: Whether the server begins to stop.
      filled: The session whose queue has become full by the last datagram.
      left_over: Datagrams, with their senders, that an ended session has not read; they go before others.
    """

    def __init__(
        self,
        options: SessionOptions,
        *,
        watch: DeadlineWatch,
        losses: LossCounts,
        on_left_over: Callable[[], None],
    ) -> None:
        self.watch = watch
        self._options = options
        self._losses = losses
        self._on_left_over = on_left_over
        self._sessions: dict[_Key, DatagramSession] = {}
        self.left_over: deque[tuple[Datagram, Any]] = deque()
        self.filled: DatagramSession | None = None
        self.draining = False

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self) -> None:
        """A run of the server begins."""
        self.draining = False

    def begin_drain(self) -> None:
        """The server begins to stop: let those who wait in vain know."""
        self.draining = True
        for session in self._sessions.values():
            session.interrupt()

    def end(self) -> None:
        """A run of the server has ended, with all requests."""
        self.draining = True
        self.filled = None
        self.keep_only(())
        self._losses.unread += len(self.left_over)
        self.left_over.clear()

    def new(self, first: Datagram, client_address: Any) -> DatagramSession:
        """A new session, with its first datagram in the queue."""
        session = DatagramSession(self, first, client_address)
        self._sessions[first.socket, client_address] = session
        return session

    def deliver(self, datagram: Datagram, client_address: Any) -> bool:
        """Put a datagram into its session's queue; false if there is no session."""
        session = self._sessions.get((datagram.socket, client_address))
        if session is None:
            return False
        if not session.deliver(datagram):
            self._losses.full_queues += 1
        elif session.queued >= self.max_queued_datagrams:
            self.filled = session
        return True

    def keep_only(self, alive: Container[int]) -> None:
        """End all sessions but those with these ids."""
        for session in [each for each in self._sessions.values() if id(each) not in alive]:
            session.close()

    # For sessions.

    @property
    def session_timeout(self) -> float | None:
        """Seconds since the peer's last datagram, or ``None``."""
        return self._options.session_timeout

    @property
    def max_queued_datagrams(self) -> int:
        """How many may wait to be read."""
        return self._options.max_queued_datagrams

    def session_closed(
        self, session: DatagramSession, unread: Collection[Datagram], *, pass_on: bool
    ) -> None:
        """Forget a session that has ended."""
        key = (session.socket, session.client_address)
        if self._sessions.get(key) is session:
            del self._sessions[key]
        if pass_on and unread and not self.draining:
            self.left_over.extend((datagram, session.client_address) for datagram in unread)
            self._on_left_over()
        else:
            self._losses.unread += len(unread)
