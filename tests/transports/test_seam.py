"""The seam: an unchanged server on a network that is not the kernel's, put in through trio's own hook."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import Echo

import trioserver
from trioserver._transports.endpoint import Endpoint, ListeningEndpoint, open_endpoint

from .kit import FakeEndpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from _typeshed import ReadableBuffer


class Linked(FakeEndpoint):
    """One end of a connection in memory."""

    def __init__(self) -> None:
        super().__init__()
        self.peer: Linked | None = None
        self.socket.family = socket.AF_INET
        self.socket.setsockopt = lambda *option: None

    def send_nowait(self, data: ReadableBuffer) -> int:
        """It arrives at once."""
        count = super().send_nowait(data)
        assert self.peer is not None
        self.peer.feed(bytes(data)[:count])
        return count

    def shutdown(self, how: int) -> None:
        """The end arrives, too."""
        assert self.peer is not None
        self.peer.feed(b"")

    def close(self) -> None:
        """Closing is the end for the peer."""
        if not self.socket.closed:
            self.shutdown(socket.SHUT_RDWR)
        super().close()


class Listening(FakeEndpoint):
    """A listening endpoint in memory."""

    def __init__(self, network: MemoryNetwork, family: int, kind: int) -> None:
        super().__init__()
        self.network = network
        self.options: list[tuple[int, ...]] = []
        self.socket.family, self.socket.type = family, kind
        self.socket.setsockopt = lambda *option: self.options.append(option)

    def bind(self, address: Any) -> None:
        """Take the address, and the next port for port 0."""
        self.network.ports += 1
        name = (address[0], address[1] or self.network.ports)
        self.socket.getsockname = lambda: name

    def listen(self, backlog: int) -> None:
        """Clients find it now."""
        self.network.listeners[self.socket.getsockname()] = self

    def accept_nowait(self) -> tuple[Endpoint, Any]:
        """The next that connected."""
        if not self.network.backlog:
            if self.socket.closed:
                raise OSError(9, "closed")
            raise BlockingIOError
        self.recv_nowait(1)
        return self.network.backlog.pop(0)


class MemoryNetwork(trio.abc.SocketFactory):
    """Connections in memory, and who listens."""

    def __init__(self) -> None:
        self.ports = 1000
        self.listeners: dict[Any, Listening] = {}
        self.backlog: list[tuple[Linked, Any]] = []

    def socket(self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0) -> Any:
        """What trio's socket module calls."""
        return Listening(self, family, type)

    def connect(self, address: Any) -> Linked:
        """A client's end."""
        near, far = Linked(), Linked()
        near.peer, far.peer = far, near
        self.backlog.append((far, ("192.0.2.7", len(self.backlog) + 1)))
        self.listeners[address].feed(b"!")
        return near


@pytest.fixture
async def network() -> AsyncIterator[MemoryNetwork]:
    """The network, installed."""
    network = MemoryNetwork()
    trio.socket.set_custom_socket_factory(network)
    yield network
    trio.socket.set_custom_socket_factory(None)


async def received(client: Linked, count: int) -> bytes:
    """So many bytes."""
    data = b""
    while len(data) < count:
        try:
            data += client.recv_nowait(count - len(data))
        except BlockingIOError:
            await client.wait_readable()
    return data


async def test_server_when_a_socket_factory_is_installed_then_it_serves_there(
    network: MemoryNetwork, autojump_clock: trio.testing.MockClock
) -> None:
    """An unchanged TCPServer echoes in memory, under a mock clock, and drains an idle connection."""
    async with trio.open_nursery() as nursery:
        server = trioserver.TCPServer(("127.0.0.1", 0), Echo)
        address = await nursery.start(server.serve_forever)
        assert address == ("127.0.0.1", 1001)
        clients = [network.connect(address) for _ in range(3)]
        for number, client in enumerate(clients):
            client.send_nowait(b"hello %d\n" % number)
        for number, client in enumerate(clients):
            assert await received(client, 8) == b"hello %d\n" % number
        clients[0].close()
        clients[1].shutdown(socket.SHUT_WR)
        await trio.sleep(3600)
        report = await server.shutdown(grace_period=1)
    assert (report.accepted, report.finished, report.cancelled) == (3, 2, 1)
    assert list(clients[1].incoming) == [b""]
    assert network.listeners[address].socket.closed


async def test_endpoint_when_the_factory_makes_something_else_then_config_error_says_what_is_missing() -> (
    None
):
    """A factory whose sockets are no endpoints can not be served, and its socket is closed again."""

    class Plain:
        closed = False

        def close(self) -> None:
            self.closed = True

    class PlainFactory(trio.abc.SocketFactory):
        def socket(self, family: Any = None, type: Any = None, proto: Any = None) -> Any:
            return plain

    plain = Plain()
    trio.socket.set_custom_socket_factory(PlainFactory())
    try:
        server = trioserver.TCPServer(("127.0.0.1", 0), Echo)
        with pytest.raises(trioserver.ConfigError, match=r"Plain objects.*accept_nowait"):
            await server.serve_forever()
    finally:
        trio.socket.set_custom_socket_factory(None)
    assert plain.closed


async def test_endpoint_when_no_factory_is_installed_then_it_is_the_kernels() -> None:
    """Asking whether there is a factory does not change that there is none."""
    for _ in range(2):
        endpoint = open_endpoint(socket.AF_INET, socket.SOCK_STREAM)
        assert isinstance(endpoint.socket, socket.socket)
        assert isinstance(endpoint, ListeningEndpoint)
        endpoint.close()
        endpoint.interrupt()  # harmless
        endpoint.close()
