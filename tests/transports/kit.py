"""What the tests of this folder share: connected streams on every way to wait, and a fake endpoint."""

from __future__ import annotations

import socket
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio

from trioserver._transports.deadlines import DeadlineWatch
from trioserver._transports.endpoint import Endpoint, KernelEndpoint
from trioserver._transports.epoll import Poller
from trioserver._transports.outbox import Flusher
from trioserver._transports.socket_stream import SocketStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from _typeshed import ReadableBuffer


def socket_pair(kind: str = "unix") -> tuple[socket.socket, socket.socket]:
    """Two connected sockets: ``unix`` or ``tcp`` (over loopback)."""
    if kind == "unix":
        return socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    for sock in (near, far):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


def shrink(sock: socket.socket) -> None:
    """Give a socket the smallest send buffer that the kernel has.

    Not the smallest receive buffer: TCP probes a window of nothing five times a second.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)


def reset(sock: socket.socket) -> None:
    """Close a TCP socket so that the peer gets a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    sock.close()


class Wires:
    """Makes connected streams and closes them, with the helper tasks that a server would run for them."""

    def __init__(self, path: str, nursery: trio.Nursery) -> None:
        self.path = path
        self.nursery = nursery
        self.poller: Poller | None = Poller() if path == "epoll" else None
        self.watch = DeadlineWatch(nursery.start_soon)
        self.flusher = Flusher(nursery.start_soon)
        self._opened: list[Any] = []
        if self.poller is not None:
            nursery.start_soon(self.poller.run)

    def endpoint(self, sock: socket.socket) -> Endpoint:
        """An endpoint that waits in the way under test."""
        made: Endpoint = KernelEndpoint(sock) if self.poller is None else self.poller.endpoint(sock)
        self._opened.append(made)
        return made

    def stream(self, sock: socket.socket, *, gathers: bool = True) -> SocketStream:
        """A stream as a server makes it; one that does not gather is alone, without a server's flusher."""
        return SocketStream(self.endpoint(sock), watch=self.watch, flusher=self.flusher if gathers else None)

    def raw(self, kind: str = "unix", *, small: bool = False) -> tuple[socket.socket, socket.socket]:
        """Two connected sockets, both to be closed at the end."""
        pair = socket_pair(kind)
        for sock in pair:
            sock.setblocking(False)
            if small:
                shrink(sock)
        self._opened += pair
        return pair

    def pair(self, kind: str = "unix", *, small: bool = False) -> tuple[SocketStream, SocketStream]:
        """Two streams that are each other's peer."""
        near, far = self.raw(kind, small=small)
        return self.stream(near), self.stream(far)

    def with_peer(
        self, kind: str = "unix", *, small: bool = False, gathers: bool = True
    ) -> tuple[SocketStream, socket.socket]:
        """A stream and its peer, a non-blocking socket that the test works by hand."""
        near, far = self.raw(kind, small=small)
        return self.stream(near, gathers=gathers), far

    def close(self) -> None:
        """Close everything that was made."""
        for opened in self._opened:
            opened.close()


@asynccontextmanager
async def wires_on(path: str) -> AsyncIterator[Wires]:
    """`Wires` and the nursery of their helpers, until the block ends."""
    wires: Wires | None = None
    try:
        async with trio.open_nursery() as nursery:
            wires = Wires(path, nursery)
            try:
                yield wires
            finally:
                wires.close()
                nursery.cancel_scope.cancel()
    finally:
        if wires is not None and wires.poller is not None:
            wires.poller.close()


async def read_all_of(sock: socket.socket) -> bytes:
    """Everything from a non-blocking socket up to the end of the stream."""
    data = b""
    while True:
        try:
            chunk = sock.recv(65536)
        except BlockingIOError:
            await trio.lowlevel.wait_readable(sock)
            continue
        if not chunk:
            return data
        data += chunk


async def read_from(sock: socket.socket, count: int) -> bytes:
    """So many bytes from a non-blocking socket."""
    data = b""
    while len(data) < count:
        await trio.lowlevel.wait_readable(sock)
        chunk = sock.recv(count - len(data))
        assert chunk, f"the stream ended after {len(data)} bytes"
        data += chunk
    return data


class FakeSocket:
    """As much of a socket as a stream asks for."""

    def __init__(self) -> None:
        self.closed = False

    def fileno(self) -> int:
        """As of a real one: -1 says closed."""
        return -1 if self.closed else 1_000_000


class FakeEndpoint:
    """An endpoint without a socket: the test puts in what comes, and looks at what was sent.

    Attributes:
      incoming: What receives return, one item for each: bytes, ``b""`` for the end, or an error to raise.
      room: How many bytes sends take before they would block.
      sent: What was sent.
      calls: The names of the functions that were called.
    """

    short_means_empty = True

    def __init__(self, *incoming: bytes | OSError, room: int = 1 << 30) -> None:
        self.socket: Any = FakeSocket()
        self.incoming: deque[bytes | OSError] = deque(incoming)
        self.room = room
        self.sent = bytearray()
        self.calls: list[str] = []
        self.unsent: int | None = 0
        self._readers = trio.lowlevel.ParkingLot()
        self._writers = trio.lowlevel.ParkingLot()
        self._interrupted = 0

    def recv_nowait(self, max_bytes: int) -> bytes:
        """The next item, in parts where it is larger."""
        self.calls.append("recv")
        if self.socket.closed:
            raise OSError(9, "Bad file descriptor")
        if not self.incoming:
            raise BlockingIOError
        item = self.incoming.popleft()
        if isinstance(item, OSError):
            raise item
        if not item:
            self.incoming.appendleft(item)  # an end stays
        elif len(item) > max_bytes:
            self.incoming.appendleft(item[max_bytes:])
        return item[:max_bytes]

    def send_nowait(self, data: ReadableBuffer) -> int:
        """Take as much as there is room for."""
        self.calls.append("send")
        if self.socket.closed:
            raise OSError(9, "Bad file descriptor")
        taken = bytes(data)[: self.room]
        if not taken and len(bytes(data)):
            raise BlockingIOError
        self.room -= len(taken)
        self.sent += taken
        return len(taken)

    async def wait_readable(self) -> None:
        """Wait for `feed`."""
        if self.incoming:
            await trio.lowlevel.checkpoint()
        else:
            await self._park(self._readers)

    async def wait_writable(self) -> None:
        """Wait for `make_room`."""
        if self.room:
            await trio.lowlevel.checkpoint()
        else:
            await self._park(self._writers)

    async def _park(self, lot: trio.lowlevel.ParkingLot) -> None:
        if self.socket.closed:
            raise trio.ClosedResourceError
        if lot:
            raise trio.BusyResourceError
        before = self._interrupted
        await lot.park()
        if self._interrupted != before:
            raise trio.ClosedResourceError

    def feed(self, *items: bytes | OSError) -> None:
        """Let something arrive."""
        self.incoming.extend(items)
        self._readers.unpark_all()

    def make_room(self, count: int) -> None:
        """Let the peer read."""
        self.room += count
        self._writers.unpark_all()

    def wake(self) -> None:
        """Wake who waits for no reason."""
        self._readers.unpark_all()
        self._writers.unpark_all()

    def interrupt(self) -> None:
        """As the contract says."""
        self.calls.append("interrupt")
        self._interrupted += 1
        self.wake()

    def shutdown(self, how: int) -> None:
        """Note it."""
        self.calls.append(f"shutdown {how}")

    def unsent_bytes(self) -> int | None:
        """What the test said."""
        return self.unsent

    def close(self) -> None:
        """Once."""
        if not self.socket.closed:
            self.socket.closed = True
            self.interrupt()
