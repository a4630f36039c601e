"""Serving on sockets that somebody else bound: ``sock=``."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import Echo, client_of, receive_exactly

import trioserver

if TYPE_CHECKING:
    from pathlib import Path


def bound() -> socket.socket:
    """A bound stdlib socket that does not listen."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


async def make(kind: str) -> Any:
    """A socket as one of the things that can be adopted."""
    if kind == "stdlib":
        return bound()
    if kind == "descriptor":
        return bound().detach()
    if kind == "trio socket":
        return trio.socket.from_stdlib_socket(bound())
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    return listener


@pytest.mark.parametrize("kind", ["stdlib", "descriptor", "trio socket", "trio listener"])
async def test_sock_when_given_then_it_is_served_and_closed(kind: str, io_path: str) -> None:
    """Any kind of bound socket is made to listen, served, and closed with the server."""
    server = trioserver.TCPServer(None, Echo, sock=await make(kind))
    async with server.running():
        async with client_of(server) as client:
            await client.send_all(b"hello\n")
            assert await receive_exactly(client, 6) == b"hello\n"
    assert server.sockets == ()


async def test_sock_when_several_are_given_then_all_are_served(io_path: str) -> None:
    """The server has the addresses of all of them, in their order."""
    socks = [bound(), bound(), bound()]
    addresses = tuple(sock.getsockname() for sock in socks)
    async with trioserver.TCPServer(None, Echo, sock=socks).running() as server:
        assert server.server_addresses == addresses
        assert server.server_address == addresses[0]
        for host, port in addresses:
            async with await trio.open_tcp_stream(host, port) as client:
                await client.send_all(b"hello\n")
                assert await receive_exactly(client, 6) == b"hello\n"


async def test_sock_when_it_is_a_unix_socket_then_its_file_is_not_removed(tmp_path: Path) -> None:
    """The file of an adopted socket belongs to whoever made it."""
    path = tmp_path / "s"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    async with trioserver.UnixStreamServer(None, Echo, sock=sock).running() as server:
        assert server.server_address == str(path)
    assert path.exists()


@pytest.mark.parametrize("what", ["unbound", "closed", "datagram", "no socket", "text", "true", "none"])
async def test_sock_when_it_can_not_be_served_then_the_error_names_it_and_it_stays_open(what: str) -> None:
    """A ConfigError that names ``sock``; the socket still belongs to the caller."""
    sock = socket.socket(type=socket.SOCK_DGRAM if what == "datagram" else socket.SOCK_STREAM)
    with sock:
        if what == "closed":
            sock.close()
        given: Any = {"text": "fd 3", "true": True, "none": [], "no socket": 2**20}.get(what, sock)
        before = sock.fileno()
        server = trioserver.TCPServer(None, Echo, sock=given)
        with pytest.raises(trioserver.ConfigError, match="sock"):
            await server.serve_forever()
        assert sock.fileno() == before
