"""Clients for the tests of the datagram servers, and a network in memory for those that need its time."""

from __future__ import annotations

import os
import socket
from collections import deque
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import trio
import trio.testing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from _typeshed import ReadableBuffer

    import trioserver

CLIENT = ("192.0.2.7", 7)
OTHER = ("192.0.2.8", 8)


async def echo(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
    """A handler, an async function, that sends each datagram back."""
    await request.socket.sendto(request.data, client_address)


class Client:
    """A connected UDP or Unix datagram socket."""

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.socket = sock

    async def send(self, *datagrams: bytes) -> None:
        """Send these."""
        for data in datagrams:
            await self.socket.send(data)

    async def receive(self) -> bytes:
        """The next datagram."""
        with trio.fail_after(5):
            return await self.socket.recv(1 << 17)

    async def ask(self, data: bytes) -> bytes:
        """Send a datagram, and get one back."""
        await self.send(data)
        return await self.receive()

    def receive_nowait(self) -> bytes | None:
        """The next datagram, if it is there."""
        with socket.socket(fileno=os.dup(self.socket.fileno())) as sock:
            sock.setblocking(False)
            try:
                return sock.recv(1 << 17)
            except BlockingIOError:
                return None

    @property
    def name(self) -> Any:
        """Its own address."""
        return self.socket.getsockname()


@asynccontextmanager
async def client_of(server: Any, *, name: Any = None, address: Any = None) -> AsyncIterator[Client]:
    """A client of a server that is bound; on a Unix socket under a name, if any."""
    address = server.server_address if address is None else address
    with trio.socket.socket(server.socket.family, socket.SOCK_DGRAM) as sock:
        if name is not None:
            await sock.bind(name)
        await sock.connect(address)
        yield Client(sock)


class FakeSocket:
    """What a server asks of the socket itself."""

    def __init__(self, family: int) -> None:
        self.family = family
        self.type = socket.SOCK_DGRAM
        self.closed = False
        self.name: Any = None
        self.options: list[Any] = []

    def getsockname(self) -> Any:
        """Where it is bound."""
        return self.name

    def setsockopt(self, *option: Any) -> None:
        """Remember it."""
        self.options.append(option)

    def fileno(self) -> int:
        """A number that no system call likes."""
        return -1 if self.closed else 1 << 20


class FakeDatagramEndpoint:
    """A datagram socket in memory.

    Attributes:
      sent: What was sent, with its addressee.
      room: How many more can be sent.
      errors: What the next calls raise.
    """

    def __init__(self, family: int = socket.AF_INET) -> None:
        self.socket = FakeSocket(family)
        self.sent: list[tuple[bytes, Any]] = []
        self.room = 1 << 30
        self.errors: deque[OSError] = deque()
        self.send_errors: deque[OSError] = deque()
        self.sends = 0
        self._inbox: deque[tuple[bytes, Any]] = deque()
        self._readable = trio.lowlevel.ParkingLot()
        self._writable = trio.lowlevel.ParkingLot()
        self._interrupted = 0

    def feed(self, *datagrams: bytes, address: Any = CLIENT) -> None:
        """Let these come."""
        self._inbox.extend((data, address) for data in datagrams)
        self._readable.unpark_all()

    def fail(self, *errors: OSError) -> None:
        """Let receiving raise these."""
        self.errors.extend(errors)
        self._readable.unpark_all()

    def make_room(self, count: int) -> None:
        """Let so many be sent."""
        self.room = count
        self._writable.unpark_all()

    @property
    def left(self) -> int:
        """How many were not read."""
        return len(self._inbox)

    def recvfrom_nowait(self, max_bytes: int) -> tuple[bytes, Any]:
        """Take one."""
        if self.errors:
            raise self.errors.popleft()
        if not self._inbox:
            raise BlockingIOError
        data, address = self._inbox.popleft()
        return data[:max_bytes], address

    def sendto_nowait(self, data: ReadableBuffer, address: Any) -> int:
        """Keep it."""
        self.sends += 1
        if self.send_errors:
            raise self.send_errors.popleft()
        if not self.room:
            raise BlockingIOError(11, "no room")
        self.room -= 1
        self.sent.append((bytes(data), address))
        return len(bytes(data))

    def bind(self, address: Any) -> None:
        """Take the address."""
        self.socket.name = address

    async def wait_readable(self) -> None:
        """Wait until something comes."""
        before = self._interrupted
        if self._inbox or self.errors:
            await trio.lowlevel.checkpoint()
        else:
            await self._readable.park()
        if self._interrupted > before:
            raise trio.ClosedResourceError

    async def wait_writable(self) -> None:
        """Wait until there is room."""
        before = self._interrupted
        if self.room:
            await trio.lowlevel.checkpoint()
        else:
            await self._writable.park()
        if self._interrupted > before:
            raise trio.ClosedResourceError

    def interrupt(self) -> None:
        """Wake all."""
        self._interrupted += 1
        self._readable.unpark_all()
        self._writable.unpark_all()

    def close(self) -> None:
        """Close."""
        if not self.socket.closed:
            self.socket.closed = True
            self.interrupt()


class MemoryNetwork(trio.abc.SocketFactory):
    """Makes sockets in memory, by trio's own hook; keeps them."""

    def __init__(self) -> None:
        self.endpoints: list[FakeDatagramEndpoint] = []

    def socket(self, family: Any = socket.AF_INET, type: Any = 0, proto: Any = 0) -> Any:
        """A new socket."""
        endpoint = FakeDatagramEndpoint(family)
        self.endpoints.append(endpoint)
        return endpoint

    @property
    def endpoint(self) -> FakeDatagramEndpoint:
        """The last one that was made."""
        return self.endpoints[-1]


@contextmanager
def memory_network() -> Iterator[MemoryNetwork]:
    """While it lasts, sockets are in memory: for tests under a ``MockClock``."""
    network = MemoryNetwork()
    before = trio.socket.set_custom_socket_factory(network)
    try:
        yield network
    finally:
        trio.socket.set_custom_socket_factory(before)


async def settle() -> None:
    """Let everything happen that can."""
    await trio.testing.wait_all_tasks_blocked()
