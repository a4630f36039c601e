"""The seam for the servers that are not TCP's: Unix sockets without files, and who needs the kernel."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import Echo

import trioserver

from .kit import FakeEndpoint

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


class NamedEndpoint(FakeEndpoint):
    """An endpoint of any family and type, which can be bound."""

    def __init__(self, family: int, kind: int) -> None:
        super().__init__()
        self.family, self.kind = family, kind
        self.bound_to: Any = None
        self.backlog: int | None = None
        self.error: OSError | None = None
        self.socket.family, self.socket.type = family, kind
        self.socket.setsockopt = lambda *option: None
        self.socket.getsockopt = lambda *option: 0
        self.socket.getsockname = lambda: self.bound_to

    def bind(self, address: Any) -> None:
        """Take the address, or refuse it."""
        if self.error is not None:
            raise self.error
        self.bound_to = address

    def listen(self, backlog: int) -> None:
        """Note it."""
        self.backlog = backlog

    def accept_nowait(self) -> Any:
        """Nobody comes."""
        raise BlockingIOError

    def recvfrom_nowait(self, max_bytes: int, /) -> tuple[bytes, Any]:
        """The next datagram."""
        return self.recv_nowait(max_bytes), "/run/client"

    def sendto_nowait(self, data: bytes, address: Any, /) -> int:
        """Keep it."""
        self.sent += data
        return len(data)


class Factory(trio.abc.SocketFactory):
    """Makes such endpoints, and keeps them."""

    def __init__(self) -> None:
        self.made: list[NamedEndpoint] = []
        self.error: OSError | None = None

    def socket(self, family: int = socket.AF_INET, type: int = socket.SOCK_STREAM, proto: int = 0) -> Any:
        """What trio's socket module calls."""
        self.made.append(NamedEndpoint(family, type))
        self.made[-1].error = self.error
        return self.made[-1]


@pytest.fixture
async def factory() -> AsyncIterator[Factory]:
    """The factory, installed."""
    factory = Factory()
    trio.socket.set_custom_socket_factory(factory)
    yield factory
    trio.socket.set_custom_socket_factory(None)


async def no_handler(request: object, client_address: object, server: object) -> None:
    """For servers that nobody talks to."""


@pytest.mark.parametrize("server_class", [trioserver.UnixStreamServer, trioserver.UnixDatagramServer])
async def test_unix_server_when_a_socket_factory_is_installed_then_no_file_is_touched(
    factory: Factory, server_class: Any, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """The endpoint gets the path as it is, be there no such folder, or a file that is something else."""
    nowhere, taken = tmp_path / "no" / "folder", tmp_path / "taken"
    taken.write_text("a file")
    before = taken.stat()
    for path in (nowhere, taken):
        async with server_class(path, no_handler, mode=0o600) as server:
            assert server.server_address == factory.made[-1].bound_to == str(path)
        assert factory.made[-1].socket.closed
    assert [made.backlog for made in factory.made] == (
        [65535, 65535] if server_class is trioserver.UnixStreamServer else [None, None]
    )
    assert os.listdir(tmp_path) == ["taken"]
    assert taken.read_text() == "a file"
    assert (taken.stat().st_mode, taken.stat().st_ino) == (before.st_mode, before.st_ino)


async def test_unix_server_when_the_path_is_taken_there_then_the_error_names_it(factory: Factory) -> None:
    """What the network says of ``bind`` is raised, as it is, and the endpoint closed."""
    factory.error = OSError(98, "Address already in use")
    with pytest.raises(OSError, match="already in use") as caught:
        await trioserver.UnixStreamServer("/run/s", no_handler).server_bind()
    assert caught.value is factory.error
    assert caught.value.__notes__ == ["while binding '/run/s'"]
    assert factory.made[-1].socket.closed


async def test_unix_datagram_server_when_a_socket_factory_is_installed_then_it_answers(
    factory: Factory, autojump_clock: trio.testing.MockClock
) -> None:
    """A datagram that is there is served, and the reply goes through the same endpoint."""

    def shout(request: Any, client_address: Any, server: Any) -> None:
        request.socket.sendto_nowait(request.data.upper(), client_address)

    async with trioserver.UnixDatagramServer("/run/s", shout).running():
        (made,) = factory.made
        made.feed(b"hello")
        await trio.testing.wait_all_tasks_blocked()
        assert made.sent == b"HELLO"


@pytest.mark.skipif(sys.platform != "linux", reason="only there a server has an epoll")
async def test_stream_server_when_its_sockets_are_not_the_kernels_then_it_takes_no_descriptor(
    factory: Factory,
) -> None:
    """A thousand simulated hosts may have a server each, and this process has its thousand descriptors."""
    before = os.listdir("/proc/self/fd")
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo).running():
        assert os.listdir("/proc/self/fd") == before


SYNCHRONOUS = [
    name for name in dir(trioserver) if name.startswith(("Threading", "Forking")) and name.endswith("Server")
]


@pytest.mark.parametrize("name", SYNCHRONOUS)
async def test_synchronous_server_when_a_socket_factory_is_installed_then_it_refuses_to_bind(
    factory: Factory, name: str
) -> None:
    """Before the first client comes, and it says what to use instead; the socket that it got is closed."""
    server_class = getattr(trioserver, name)
    address = "/run/s" if "Unix" in name else ("127.0.0.1", 0)
    server = server_class(address, lambda *args: None)
    plain = name.removeprefix("Threading").removeprefix("Forking")
    expected = rf"^{name} needs sockets of the operating system.*by trioserver\.{plain};"
    with pytest.raises(trioserver.ConfigError, match=expected):
        await server.server_bind()
    assert [made.socket.closed for made in factory.made] == [True]
    with pytest.raises(trioserver.LifecycleError, match="no socket yet"):
        _ = server.socket


async def test_synchronous_server_when_it_adopts_a_socket_of_the_kernels_then_it_serves_beside_a_factory(
    factory: Factory,
) -> None:
    """Its own sockets count, not what others would be made by."""
    listener = socket.create_server(("127.0.0.1", 0))
    async with trioserver.ThreadingTCPServer(None, lambda *args: None, sock=listener) as server:
        assert server.socket is listener
    assert factory.made == []
