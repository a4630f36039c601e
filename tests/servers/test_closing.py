"""The client gets all of the reply, also when it sent data that nobody read."""

from __future__ import annotations

import socket
import socketserver
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import receive_all, wait_until

import trioserver

if TYPE_CHECKING:
    from collections.abc import Iterator

UNREAD = b"u" * 20_000
REPLY = bytes(range(256)) * 400  # 100 KB: fits in the server's send buffer


@contextmanager
def rude_client(address: Any) -> Iterator[socket.socket]:
    """A client that sends what nobody asked for, and has little room for a reply."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(5)
        client.connect(address)
        client.sendall(UNREAD)
        yield client


def read_all(client: socket.socket) -> bytes:
    """What comes before the end, or before the connection is reset."""
    data = b""
    try:
        while chunk := client.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    return data


class StdlibHandler(socketserver.BaseRequestHandler):
    """Replies without reading."""

    def handle(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(REPLY))
        self.request.recv(1)
        self.request.sendall(REPLY)


class Handler(trioserver.StreamRequestHandler):
    """The same."""

    async def handle(self) -> None:
        self.request.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(REPLY))
        await self.rfile.read(1)
        await self.wfile.write(REPLY)


async def test_reply_when_the_client_sent_too_much_then_arrives_whole(io_path: str) -> None:
    """The same exchange as below: nothing of the reply is lost."""
    async with trioserver.TCPServer(("127.0.0.1", 0), Handler).running() as server:
        with rude_client(server.server_address) as client:
            await wait_until(lambda: [r.state.name for r in server.requests] == ["CLOSING"])
            assert await trio.to_thread.run_sync(read_all, client) == REPLY


async def test_reply_when_the_client_sent_too_much_then_the_stdlib_loses_the_end() -> None:
    """That the test above proves something: the stdlib's server resets the connection there."""
    with socketserver.TCPServer(("127.0.0.1", 0), StdlibHandler) as server:
        with rude_client(server.server_address) as client:
            await trio.to_thread.run_sync(server.handle_request)
            assert len(read_all(client)) < len(REPLY)


async def test_reply_when_it_is_long_and_the_client_slow_then_arrives_whole(io_path: str) -> None:
    """1 MB, read only after the request has ended on the server's side as far as it can."""
    reply = b"r" * 1_000_000

    async def handler(request: trioserver.RequestStream, client_address: object, server: object) -> None:
        await request.send_all(reply)

    async with trioserver.TCPServer(("127.0.0.1", 0), handler).running() as server:
        async with await trio.open_tcp_stream(*server.server_address) as client:
            await client.send_all(UNREAD)
            assert await receive_all(client) == reply
            await client.send_eof()
        report = await server.shutdown(None)
    assert report.finished == 1


async def test_linger_timeout_when_the_client_never_closes_then_it_bounds_the_wait(io_path: str) -> None:
    """A client that neither reads nor closes holds its request for linger_timeout and no longer."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Handler, linger_timeout=0.01)
    async with server.running():
        with rude_client(server.server_address):
            await wait_until(lambda: server.statistics().finished == 1)


async def test_max_linger_bytes_when_the_client_sends_on_then_it_bounds_what_is_read(io_path: str) -> None:
    """A client that sends for ever is cut off, long before linger_timeout."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Handler, linger_timeout=3600, max_linger_bytes=100_000)
    async with server.running():
        async with await trio.open_tcp_stream(*server.server_address) as client:
            with pytest.raises(trio.BrokenResourceError):
                while True:
                    await client.send_all(UNREAD)
        await wait_until(lambda: server.requests == ())
    assert server.statistics().finished == 1


async def test_shutdown_when_a_request_lingers_then_it_is_cut_off_at_the_end_of_the_grace_period(
    io_path: str,
) -> None:
    """A lingering connection is bounded by the shutdown, too (P5); its request had finished."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Handler, linger_timeout=3600)
    async with server.running():
        with rude_client(server.server_address):
            await wait_until(lambda: [r.state.name for r in server.requests] == ["CLOSING"])
            report = await server.shutdown(0.01)
    assert (report.finished, report.cancelled) == (1, 0)
