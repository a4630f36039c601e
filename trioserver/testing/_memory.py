"""A connection in memory: two ends that behave as a pair of connected Unix sockets, without descriptors."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import trio

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

BUFFER_BYTES: Final = 65536
"""How much either end takes before the other one has to wait, so that backpressure is there in tests, too."""

NO_DESCRIPTOR: Final = 2**31 - 1
"""What stands in for the number of a descriptor: the largest there can be, and none is that large."""


class MemoryEndpoint:
    """One end of a connection in memory, as a server has it: see ``trioserver.Endpoint``.

    Args:
      family: The address family that it pretends to be of.
      name: What ``getsockname()`` says.
    """

    def __init__(self, family: int, name: Any) -> None:
        self.family = family
        self.type = socket.SOCK_STREAM
        self.proto = 0
        self.peer: MemoryEndpoint | None = None
        self.closed: bool = False
        self._name = name
        self._options: dict[tuple[int, int], Any] = {}
        self._incoming = bytearray()
        self._ended = False  # the peer sends no more
        self._deaf = False  # this end receives no more
        self._error: OSError | None = None
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()
        self._interrupted = 0

    # What a socket has.

    @property
    def socket(self) -> Any:
        """Itself: there is nothing underneath."""
        return self

    def fileno(self) -> int:
        """A number that the kernel never knows; -1 once it is closed."""
        return -1 if self.closed else NO_DESCRIPTOR

    def getsockname(self) -> Any:
        """Its own address."""
        return self._name

    def getpeername(self) -> Any:
        """The address of the other end."""
        if self.peer is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self.peer.getsockname()

    def setsockopt(self, level: int, name: int, *value: Any) -> None:
        """Keep it, for `getsockopt`; options do nothing here."""
        self._options[level, name] = value[0]

    def getsockopt(self, level: int, name: int, size: int = 0) -> Any:
        """What was set; else 0. The peer's credentials are this process's."""
        if size and name == getattr(socket, "SO_PEERCRED", None):
            return struct.pack("3i", os.getpid(), os.getuid(), os.getgid())
        return self._options.get((level, name), bytes(size) if size else 0)

    # What an endpoint has.

    @property
    def short_means_empty(self) -> bool:
        """True: the wait ends at once where there is more."""
        return True

    def recv_nowait(self, max_bytes: int) -> bytes:
        """Receive at most so many bytes."""
        self._check_open()
        if self._incoming:
            data = bytes(self._incoming[:max_bytes])
            del self._incoming[:max_bytes]
            if self.peer is not None:
                self.peer._writers.unpark_all()
            return data
        if self._error is not None:
            raise self._error
        if self._ended or self._deaf:
            return b""
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    def send_nowait(self, data: ReadableBuffer) -> int:
        """Send what fits."""
        self._check_open()
        if self._error is not None:
            raise self._error
        peer = self.peer
        if peer is None or peer.closed or peer._deaf or peer._ended:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        data = memoryview(data).cast("B")
        room = BUFFER_BYTES - len(peer._incoming)
        if not room and data:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        peer._incoming += data[:room]
        peer._readers.unpark_all()
        return min(room, len(data))

    async def wait_readable(self) -> None:
        """Wait until a receive would do something."""
        if self._readable():
            await trio.lowlevel.checkpoint()
        else:
            await self._park(self._readers)

    async def wait_writable(self) -> None:
        """Wait until a send would do something."""
        peer = self.peer
        if peer is not None and not self.closed and not peer.closed and len(peer._incoming) >= BUFFER_BYTES:
            await self._park(self._writers)
        else:
            await self._park(None)

    def _readable(self) -> bool:
        return not self.closed and bool(self._incoming or self._ended or self._deaf or self._error)

    async def _park(self, lot: trio.lowlevel.ParkingLot | None) -> None:
        if self.closed:
            raise trio.ClosedResourceError("this end was closed")
        if lot is None:
            await trio.lowlevel.checkpoint()
            return
        if lot:
            raise trio.BusyResourceError("another task waits for this end already")
        before = self._interrupted
        await lot.park()
        if self._interrupted != before:
            raise trio.ClosedResourceError("this end was closed, or the wait for it was interrupted")

    def _wake(self) -> None:
        self._readers.unpark_all()
        self._writers.unpark_all()

    def interrupt(self) -> None:
        """Make whoever waits look again."""
        self._interrupted += 1
        self._wake()

    def shutdown(self, how: int) -> None:
        """Close one half or both."""
        self._check_open()
        if how != socket.SHUT_WR:
            self._deaf = True
            self._wake()
        if self.peer is not None:
            if how != socket.SHUT_RD:
                self.peer._ended = True
            self.peer._wake()

    def unsent_bytes(self) -> int | None:
        """0: what was sent has arrived, and no close can lose it."""
        return 0

    def close(self) -> None:
        """Close at once; with input that nobody read it is a reset for the peer, see unix(7)."""
        self._close(reset=bool(self._incoming))

    def abort(self) -> None:
        """Close at once, with a reset in any case."""
        self._close(reset=True)

    def _close(self, *, reset: bool) -> None:
        if self.closed:
            return
        self.closed = True
        self._incoming.clear()
        self.interrupt()
        if (peer := self.peer) is not None and not peer.closed:
            if reset:
                peer._error = ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
            peer._ended = True
            peer._wake()

    def _check_open(self) -> None:
        if self.closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class MemoryListener(MemoryEndpoint):
    """A listening end, into which a test puts connections."""

    def __init__(self, family: int) -> None:
        super().__init__(family, None)
        self._backlog: deque[tuple[MemoryEndpoint, Any]] = deque()

    def bind(self, address: Any) -> None:
        """Take the address; in place of port 0, 1."""
        if isinstance(address, tuple):
            host, port, *rest = address
            address = (host, port or 1, *rest)
        self._name = address

    def listen(self, backlog: int) -> None:
        """Nothing: connections come by `put`."""

    def accept_nowait(self) -> tuple[MemoryEndpoint, Any]:
        """The next connection."""
        self._check_open()
        if not self._backlog:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return self._backlog.popleft()

    def _readable(self) -> bool:
        return not self.closed and bool(self._backlog)

    def put(self, client_address: Any) -> MemoryEndpoint:
        """Connect: the client's end, whose peer is what the server accepts next."""
        near = MemoryEndpoint(self.family, client_address)
        far = MemoryEndpoint(self.family, self._name)
        near.peer, far.peer = far, near
        self._backlog.append((far, client_address))
        self._readers.unpark_all()
        return near

    def close(self) -> None:
        """Close it, and what nobody accepted."""
        super().close()
        while self._backlog:
            self._backlog.popleft()[0].abort()
