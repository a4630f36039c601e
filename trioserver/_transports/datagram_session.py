"""`DatagramSession`: the datagrams of one peer, in a bounded queue."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

import trio

from .._vocabulary.reports import Timeout
from .datagram_socket import DATAGRAMS_PER_CHECKPOINT

if TYPE_CHECKING:
    from collections.abc import Collection

    from _typeshed import ReadableBuffer

    from .datagram_socket import Datagram, DatagramSocket
    from .deadlines import DeadlineWatch
    from .endpoint import Address

_NEVER: Final = float("inf")


class SessionOwner(Protocol):
    """What a session has to know of its server, and to tell it."""

    draining: bool
    """Whether the server begins to stop."""

    @property
    def watch(self) -> DeadlineWatch:
        """What ends a wait when the peer has said nothing for too long."""
        ...

    @property
    def session_timeout(self) -> float | None:
        """Seconds since the peer's last datagram, or ``None``."""
        ...

    @property
    def max_queued_datagrams(self) -> int:
        """How many may wait to be read."""
        ...

    def session_closed(
        self, session: DatagramSession, unread: Collection[Datagram], *, pass_on: bool
    ) -> None:
        """The session has ended; the next datagram of the peer is another one's, and with ``pass_on`` so are
        those that it has not read."""


class DatagramSession(trio.abc.Channel[bytes]):
    """The datagrams of one peer: what a handler of a `UDPSessionServer` gets as its ``request``.

    ::

        async def handler(session, client_address, server):
            async for data in session:
                await session.send(data)

    A ``trio.abc.Channel[bytes]``. Any number of tasks of the handler may use it; each datagram goes to one.

    Attributes:
      client_address: The peer.
      socket: The `DatagramSocket` where its first datagram came in.
      dropped: How many of its datagrams came while ``max_queued_datagrams`` were waiting.
      bytes_received: Bytes in the datagrams that the handler has got.
      bytes_sent: Bytes in those that it has sent.
      timeouts: Which timeouts of the request have fired so far, in order, each once.
    """

    __slots__ = (
        "_budget",
        "_closed",
        "_expired",
        "_heard_at",
        "_owner",
        "_queue",
        "_read_any",
        "_readers",
        "_truncated",
        "bytes_received",
        "bytes_sent",
        "client_address",
        "dropped",
        "socket",
        "timeouts",
        "watched_until",
    )

    def __init__(self, owner: SessionOwner, first: Datagram, client_address: Address) -> None:
        self.client_address: Address = client_address
        self.socket: DatagramSocket = first.socket
        self._owner = owner
        self._queue: deque[Datagram] = deque((first,))
        self._readers = trio.lowlevel.ParkingLot()
        self._heard_at = trio.current_time()
        self._budget = DATAGRAMS_PER_CHECKPOINT
        self._closed = self._expired = self._truncated = self._read_any = False
        self.dropped: int = 0
        self.bytes_received: int = 0
        self.bytes_sent: int = 0
        self.timeouts: tuple[Timeout, ...] = ()
        self.watched_until: float = _NEVER

    # For the handler.

    async def receive(self) -> bytes:
        """The peer's next datagram, waiting if there is none. It may be empty.

        Raises:
          trio.EndOfChannel: There will be none: the peer has said nothing for ``session_timeout`` seconds, or
            the server drains. What had come before is read first. (``async for`` just ends.)
          trio.ClosedResourceError: The session has ended: its handler has returned, or it was closed.

        Cancellation: loses no datagram. A checkpoint at least after every 16 datagrams (P10).
        """
        self._budget -= 1
        if self._budget < 0:  # P10, and before one is taken: a cancellation loses none
            self._budget = DATAGRAMS_PER_CHECKPOINT
            await trio.lowlevel.checkpoint()
        while not self._queue:
            self._budget = DATAGRAMS_PER_CHECKPOINT
            if self._closed:
                raise trio.ClosedResourceError("this session has ended")
            if self._is_over():
                await trio.lowlevel.checkpoint()
                if self._queue:
                    break
                self._end_for_idleness()
                raise trio.EndOfChannel
            if (deadline := self.deadline_of_silence) < self.watched_until:
                self._owner.watch.add(self, deadline)
            await self._readers.park()
        datagram = self._queue.popleft()
        self._read_any = True
        self._truncated = datagram.truncated
        self.bytes_received += len(datagram.data)
        return datagram.data

    def _is_over(self) -> bool:
        return self._owner.draining or self.deadline_of_silence <= trio.current_time()

    def _end_for_idleness(self) -> None:
        if not self._owner.draining and not self._expired:
            self._expired = True
            self.note_timeout(Timeout.IDLE)

    def note_timeout(self, timeout: Timeout) -> None:
        """Note that a timeout fired, for the event and for the handler's ``finish``."""
        if timeout not in self.timeouts:
            self.timeouts += (timeout,)

    @property
    def truncated(self) -> bool:
        """Whether the datagram that `receive` returned last was longer than ``max_packet_size``, and cut."""
        return self._truncated

    @property
    def expired(self) -> bool:
        """Whether the handler was told the end because the peer had said nothing for ``session_timeout``."""
        return self._expired

    @property
    def queued(self) -> int:
        """How many datagrams wait to be read."""
        return len(self._queue)

    async def send(self, value: ReadableBuffer) -> None:
        """Send the peer a datagram, waiting while the kernel has no room for it.

        Raises:
          OSError: It can not be sent; see `DatagramSocket.sendto`.
          trio.ClosedResourceError: The session has ended.

        Cancellation: then nothing was sent.
        """
        self._check_open()
        self.bytes_sent += await self.socket.sendto(value, self.client_address)

    def send_nowait(self, value: ReadableBuffer) -> None:
        """The same without waiting; ``trio.WouldBlock`` if the kernel has no room."""
        self._check_open()
        self.bytes_sent += self.socket.sendto_nowait(value, self.client_address)

    def _check_open(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this session has ended")

    async def aclose(self) -> None:
        """End the session before its handler returns: the peer's next datagram begins another one."""
        self.close()
        await trio.lowlevel.checkpoint()

    # For the server.

    def close(self, *, pass_on: bool = False) -> None:
        """End the session, without a checkpoint. Closing twice is fine.

        What is in the queue is lost, or with ``pass_on`` begins another session. The datagram that began this
        one does not, even if the handler has not read it: one that never reads would be called for ever.
        """
        if self._closed:
            return
        self._closed = True
        if self.watched_until < _NEVER:
            self._owner.watch.discard(self)
        unread, self._queue = self._queue, deque()
        if pass_on and not self._read_any:
            unread.popleft()
        self._owner.session_closed(self, unread, pass_on=pass_on)
        self._readers.unpark_all()

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._closed

    def deliver(self, datagram: Datagram) -> bool:
        """Put a datagram into the queue; false if it is full, and the datagram is dropped."""
        self._heard_at = trio.current_time()
        if len(self._queue) >= self._owner.max_queued_datagrams:
            self.dropped += 1
            return False
        self._queue.append(datagram)
        self._readers.unpark()
        return True

    @property
    def deadline_of_silence(self) -> float:
        """When the peer will have said nothing for too long, on trio's clock; infinity if that is never."""
        timeout = self._owner.session_timeout
        return _NEVER if timeout is None else self._heard_at + timeout

    @property
    def deadline(self) -> float:
        """When the wait that is under way has to end; for the watch."""
        return self.deadline_of_silence if self._readers else _NEVER

    def interrupt(self) -> None:
        """Let those who wait look again whether it is over."""
        self._readers.unpark_all()

    def __repr__(self) -> str:
        state = "ended" if self._closed else f"{self.queued} waiting"
        return f"<DatagramSession of {self.client_address!r}: {state}>"
