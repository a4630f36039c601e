"""`Datagram` and `DatagramSocket`: what a handler of a datagram server gets."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import trio

from .datagram_errors import NO_ROOM, PEER_ERRORS

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from .datagram_endpoint import DatagramEndpoint
    from .datagram_losses import LossCounts
    from .endpoint import Address

DATAGRAMS_PER_CHECKPOINT: Final = 16
"""Datagrams that may be sent, or taken, without a checkpoint (P10): each of them is a system call."""

_FIRST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.05


class NoRoom(trio.WouldBlock):
    """The kernel has no room for a datagram: not what a handler's own channel says when it is full."""


def _of_peer(error: OSError) -> OSError:
    """Note that a send failed because of the peer, for `is_of_peer`: its class is an application's, too."""
    error.of_peer = True  # type: ignore[attr-defined]
    return error


def is_of_peer(error: BaseException) -> bool:
    """Whether a `DatagramSocket` has raised this because the peer is gone or can not be reached."""
    return getattr(error, "of_peer", False) is True


class Datagram(NamedTuple):
    """One datagram: what a handler of a `DatagramServer` gets as its ``request``.

    A tuple, as in the stdlib: ``data, socket = self.request``.
    """

    data: bytes
    """What it carries; empty datagrams are datagrams, too."""
    socket: DatagramSocket
    """Where it came in, and where replies go out; it stays usable as long as the server has it."""

    @property
    def truncated(self) -> bool:
        """Whether it was longer than the server's ``max_packet_size``, and ``data`` is its beginning."""
        return False

    @property
    def bytes_received(self) -> int:
        """The length of ``data``."""
        return len(self.data)


class TruncatedDatagram(Datagram):
    """A `Datagram` that was too long; a class of its own, so that the others need no flag."""

    __slots__ = ()

    @property
    def truncated(self) -> bool:
        """True."""
        return True


class DatagramSocket:
    """A server's datagram socket, to send from.

    It may be kept, and used by any number of tasks at once, in the trio thread. The server owns it: it is
    closed when the server has ended, after the last handler.
    """

    __slots__ = ("_closed", "_endpoint", "_others", "_stuck", "_waiting", "budget", "losses")

    def __init__(self, endpoint: DatagramEndpoint, losses: LossCounts) -> None:
        self._endpoint = endpoint
        self.losses: LossCounts = losses
        """Where those who can not wait for room count what they drop."""
        self._closed = False
        self.budget: int = DATAGRAMS_PER_CHECKPOINT
        """Calls of `sendto` until the next checkpoint; begins anew with each datagram that is received."""
        self._waiting = False  # whether a task waits for room in the kernel; the others wait for it
        self._others = trio.lowlevel.ParkingLot()
        self._stuck: dict[Address, trio.lowlevel.ParkingLot] = {}  # who waits behind a task that polls

    @property
    def endpoint(self) -> DatagramEndpoint:
        """The socket and the way to wait for it; the server's business."""
        return self._endpoint

    @property
    def socket(self) -> Any:
        """The socket underneath, for its options. Receiving from it or closing it is an error."""
        return self._endpoint.socket

    async def sendto(self, data: ReadableBuffer, address: Address) -> int:
        """Send a datagram, waiting while the kernel has no room for it.

        Args:
          data: What to send, at once or not at all; may be empty.
          address: To whom, in the form of the server's address family; no name is resolved.

        Returns:
          The number of bytes.

        Raises:
          OSError: It can not be sent. ``ECONNREFUSED``, ``EHOSTUNREACH`` and the like, or ``ENOENT`` on Unix
            sockets, if the peer is gone or can not be reached; ``EDESTADDRREQ`` if ``address`` is that of a
            client without a name; ``EMSGSIZE`` if it is too long.
          trio.ClosedResourceError: The server has closed the socket, before or meanwhile.

        Cancellation: then nothing was sent. Where it need not wait it is a checkpoint after every 16 calls
        (P10).
        """
        self.budget -= 1
        if self.budget < 0:  # P10, and before it is sent
            self.budget = DATAGRAMS_PER_CHECKPOINT
            await trio.lowlevel.checkpoint()
        try:
            return self.sendto_nowait(data, address)
        except trio.WouldBlock:
            pass
        await self._wait_room(0.0)
        try:
            return self.sendto_nowait(data, address)
        except trio.WouldBlock:
            return await self._send_in_turn(data, address)

    async def _send_in_turn(self, data: ReadableBuffer, address: Address) -> int:
        """Send to a client whose queue is full: one task polls for it, whatever wants to be sent (P7)."""
        pause = _FIRST_PAUSE
        if (queue := self._stuck.get(address)) is not None:
            await queue.park()  # until this one is to poll, since another has sent: there may be more room
            pause = 0.0
        else:
            queue = self._stuck[address] = trio.lowlevel.ParkingLot()
        try:
            while True:
                await self._wait_room(pause)
                try:
                    return self.sendto_nowait(data, address)
                except trio.WouldBlock:
                    pause = min(_LONGEST_PAUSE, pause * 2 or _FIRST_PAUSE)
        finally:
            if queue:
                queue.unpark()
            else:
                del self._stuck[address]

    async def _wait_room(self, pause: float) -> None:
        """Wait until there may be room.

        The kernel only knows about room in this socket's buffer. Where it is the queue of a client on a Unix
        socket that is full it says that there is room, at once, every time: so after a try in vain there is a
        pause, or this would spin.
        """
        if pause:
            await trio.sleep(pause)
        if self._closed:
            raise trio.ClosedResourceError("this socket was closed")
        if self._waiting:  # only one task may wait for a socket; the others look again when it has
            await self._others.park()
            return
        self._waiting = True
        try:
            await self._endpoint.wait_writable()
        except trio.ClosedResourceError:
            if self._closed:
                raise
            # Otherwise who waits for a datagram was interrupted, which wakes everybody: look again.
        finally:
            self._waiting = False
            self._others.unpark_all()

    def sendto_nowait(self, data: ReadableBuffer, address: Address) -> int:
        """Send a datagram at once: for handlers that do not wait. As `sendto`, but no checkpoint.

        Raises:
          trio.WouldBlock: The kernel has no room for it.
          OSError, trio.ClosedResourceError: As `sendto`.
        """
        if self._closed:
            raise trio.ClosedResourceError("this socket was closed")
        if not address or (address.__class__ is tuple and not address[1]):
            # RFC 768: a source port of zero means that no reply is wanted; unix(7): not bound, not named.
            raise _of_peer(OSError(errno.EDESTADDRREQ, "the client has no address to reply to"))
        endpoint = self._endpoint
        try:
            return endpoint.sendto_nowait(data, address)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise NoRoom from None
            if error.errno not in PEER_ERRORS:
                raise
        # It may well be what ICMP said about an earlier datagram, to somebody else, which the kernel reports
        # once, on whatever comes next: nothing was sent then (ip(7), IP_RECVERR).
        try:
            return endpoint.sendto_nowait(data, address)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise NoRoom from None
            if error.errno in PEER_ERRORS:
                _of_peer(error)
            raise

    def getsockname(self) -> Any:
        """The address it is bound to."""
        return self.socket.getsockname()

    def setsockopt(self, *args: Any) -> None:
        """Set an option, as ``socket.socket.setsockopt``."""
        self.socket.setsockopt(*args)

    def getsockopt(self, *args: Any) -> Any:
        """Read an option, as ``socket.socket.getsockopt``."""
        return self.socket.getsockopt(*args)

    def fileno(self) -> int:
        """The descriptor; -1 once it is closed."""
        return int(self.socket.fileno())

    @property
    def closed(self) -> bool:
        """Whether the server has closed it."""
        return self._closed

    def close(self) -> None:
        """Close it; whoever waits gets ``trio.ClosedResourceError``. The server's business."""
        if not self._closed:
            self._closed = True
            self._endpoint.close()
            self._others.unpark_all()

    def __repr__(self) -> str:
        return f"<DatagramSocket {'closed' if self._closed else repr(self.getsockname())}>"
