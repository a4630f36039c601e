"""The defaults that are not the stdlib's, and what each of them is for; two of them also where they are."""

from __future__ import annotations

import errno
import inspect
import re
import socket
import socketserver
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import Echo, receive_all, wait_until

import trioserver

if TYPE_CHECKING:
    from pathlib import Path

BURST = 100
"""Many more than the stdlib's 5, and fewer than any system's limit (128, on old ones)."""


def make(kind: str, path: Path, handler: Any = Echo, **options: Any) -> trioserver.StreamServer:
    """A server of either kind."""
    if kind == "unix":
        return trioserver.UnixStreamServer(path, handler, **options)
    return trioserver.TCPServer(("127.0.0.1", 0), handler, **options)


def connect_at_once(server: trioserver.StreamServer, count: int) -> tuple[list[socket.socket], int]:
    """Connect many clients without giving the server a turn; returns them and how many were refused."""
    clients: list[socket.socket] = []
    refused = 0
    for _ in range(count):
        client = socket.socket(server.socket.family)
        client.setblocking(False)
        clients.append(client)
        code = client.connect_ex(server.server_address)
        if code not in (0, errno.EINPROGRESS):
            refused += 1
    return clients, refused


@pytest.mark.parametrize("kind", ["tcp", "unix"])
async def test_request_queue_size_when_many_connect_at_once_then_all_are_served(
    kind: str, tmp_path: Path, io_path: str
) -> None:
    """A burst that comes before the server gets its turn waits in the kernel: none is refused or dropped."""

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        await request.send_all(b"served")

    async with make(kind, tmp_path / "s", handler, linger_timeout=0).running() as server:
        clients, refused = connect_at_once(server, BURST)
        try:
            assert refused == 0
            for client in clients:
                stream = trio.SocketStream(trio.socket.from_stdlib_socket(client))
                assert await receive_all(stream) == b"served"
        finally:
            for client in clients:
                client.close()
        assert server.statistics().accepted == BURST


async def test_request_queue_size_when_it_is_the_stdlibs_then_the_same_burst_is_refused(
    tmp_path: Path,
) -> None:
    """On a Unix socket, where the kernel says so at once: what the default is there to prevent."""
    size = socketserver.TCPServer.request_queue_size
    async with make("unix", tmp_path / "s", request_queue_size=size).running() as server:
        clients, refused = connect_at_once(server, BURST)
        for client in clients:
            client.close()
        assert refused >= BURST - 2 * size
        await wait_until(lambda: not server.requests)


async def test_request_queue_size_when_max_requests_are_there_then_the_others_wait_in_the_kernel(
    tmp_path: Path, io_path: str
) -> None:
    """The backlog is the queue (P6), so it has to be one that is worth the name."""
    served: list[int] = []

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        served.append(len(server.requests))
        await trio.lowlevel.checkpoint()

    async with make("unix", tmp_path / "s", handler, max_requests=3).running() as server:
        clients, refused = connect_at_once(server, BURST)
        assert refused == 0
        await wait_until(lambda: len(served) == BURST)
        for client in clients:
            client.close()
    assert max(served) <= 3


async def test_allow_reuse_port_by_default_then_a_second_server_is_refused() -> None:
    """Started by mistake, it must not take half of the clients: not either's default, nor one alone."""
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo) as first:
        tries: list[dict[str, Any]] = [{}, {"allow_reuse_port": True}, {"allow_reuse_address": False}]
        for options in tries:
            second = trioserver.TCPServer(first.server_address, Echo, **options)
            with pytest.raises(OSError, match=r".") as caught:
                await second.serve_forever()
            assert caught.value.errno == errno.EADDRINUSE
            assert second.sockets == ()


@pytest.mark.parametrize("cls", [trioserver.TCPServer, trioserver.UDPServer])
async def test_allow_reuse_port_by_default_then_the_option_is_not_set(cls: Any) -> None:
    """In the kernel's words."""
    async with cls(("127.0.0.1", 0), Echo if cls is trioserver.TCPServer else print) as server:
        assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) == 0
        reuse = server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
        assert bool(reuse) is cls.allow_reuse_address is (cls is trioserver.TCPServer)


async def leave_in_time_wait(server: trioserver.TCPServer) -> None:
    """End a connection from this side, so that TIME_WAIT is on it."""
    async with server.running():
        async with await trio.open_tcp_stream(*server.server_address) as client:
            await wait_until(lambda: server.requests)
            server.requests[0].cancel()
            assert await receive_all(client) == b""
        await wait_until(lambda: not server.requests)


async def test_allow_reuse_address_by_default_then_a_server_restarts_at_once() -> None:
    """While connections of the one before are in TIME_WAIT; without it that takes a minute."""
    before = trioserver.TCPServer(("127.0.0.1", 0), Echo)
    await leave_in_time_wait(before)
    address = before.server_address
    with pytest.raises(OSError, match=r".") as caught:
        await trioserver.TCPServer(address, Echo, allow_reuse_address=False).serve_forever()
    assert caught.value.errno == errno.EADDRINUSE
    async with trioserver.TCPServer(address, Echo).running() as server:
        assert server.server_address == address


def attribute_docstring(cls: type, name: str) -> str:
    """The docstring below a class variable, in the source of the class or of a base."""
    for owner in cls.__mro__:
        if name in vars(owner):
            found = re.search(
                rf'^    {name}: .*?= .*?\n    """(.*?)"""', inspect.getsource(owner), re.M | re.S
            )
            return found.group(1) if found else ""
    return ""


@pytest.mark.parametrize("cls", [trioserver.TCPServer, trioserver.UnixStreamServer, trioserver.UDPServer])
def test_a_default_that_is_not_the_stdlibs_is_argued_where_it_is(cls: type) -> None:
    """With the stdlib's value and the reason; so are those that one might expect to differ."""
    for name in ("request_queue_size", "allow_reuse_address", "allow_reuse_port", "max_packet_size"):
        if hasattr(cls, name):
            said = attribute_docstring(cls, name)
            assert "stdlib" in said, f"{cls.__name__}.{name}"
            assert len(said.split()) > 15
