"""Unix sockets: streams that begin."""

from __future__ import annotations

import errno
import os
import socket
import struct
from socket import AF_UNIX

import pytest

from .kit import fails_with, receive_all, receive_exactly
from .unix_kit import unix_pair
from .worlds import World, background, parity


@parity
async def test_connect_when_a_socket_listens_then_bytes_go_both_ways(world: World, path: str) -> None:
    """The least that a Unix socket does."""
    client, server = await unix_pair(world, path)
    await client.send(b"question")
    assert await receive_exactly(server, 8) == b"question"
    await server.send(b"answer")
    assert await receive_exactly(client, 6) == b"answer"


@parity
async def test_connect_when_there_is_no_such_path_then_enoent(world: World, path: str) -> None:
    """Nobody has ever bound it."""
    with pytest.raises(FileNotFoundError) as caught:
        await world.socket(AF_UNIX).connect(path)
    assert caught.value.errno == errno.ENOENT


@parity
async def test_connect_when_nobody_listens_then_econnrefused(world: World, path: str) -> None:
    """Bound is not enough."""
    await world.bound(path, family=AF_UNIX)
    client = world.socket(AF_UNIX)
    with fails_with(errno.ECONNREFUSED):
        await client.connect(path)
    await client.connect((await world.listener(path + "2", family=AF_UNIX)).getsockname())


@parity
async def test_connect_when_the_listener_was_closed_then_econnrefused(world: World, path: str) -> None:
    """The path outlives its socket."""
    (await world.listener(path, family=AF_UNIX)).close()
    with fails_with(errno.ECONNREFUSED):
        await world.socket(AF_UNIX).connect(path)


@parity
async def test_connect_when_the_types_differ_then_eprototype(world: World, path: str) -> None:
    """A datagram socket is no listener."""
    await world.bound(path, family=AF_UNIX, kind=socket.SOCK_DGRAM)
    with fails_with(errno.EPROTOTYPE):
        await world.socket(AF_UNIX).connect(path)


@parity
async def test_connect_when_connected_then_eisconn(world: World, path: str) -> None:
    """At once, unlike TCP."""
    client, _ = await unix_pair(world, path)
    await world.listener(path + "2", family=AF_UNIX)
    with fails_with(errno.EISCONN):
        await client.connect(path + "2")


@parity
async def test_connect_when_the_backlog_is_full_then_eagain(world: World, path: str) -> None:
    """A non-blocking socket does not wait there, and trio has nothing to wait for; see connect(2)."""
    listener = await world.listener(path, family=AF_UNIX, backlog=1)
    for _ in range(2):
        await world.connect(listener)
    extra = world.socket(AF_UNIX)
    await extra.connect(path)
    with fails_with(errno.ENOTCONN):
        extra.getpeername()


@parity
async def test_close_when_connections_wait_for_accept_then_they_are_reset(world: World, path: str) -> None:
    """Nobody will ever serve them."""
    listener = await world.listener(path, family=AF_UNIX)
    client = await world.connect(listener)
    listener.close()
    with fails_with(errno.ECONNRESET):
        await client.recv(1)


@parity
async def test_recv_when_many_sends_were_made_then_they_are_one_stream(world: World, path: str) -> None:
    """There are no boundaries in it."""
    client, server = await unix_pair(world, path)
    for number in range(10):
        await client.send(b"%d" % number)
    client.close()
    assert await receive_all(server) == b"0123456789"


@parity
async def test_accept_when_it_waits_then_a_client_wakes_it(world: World, path: str) -> None:
    """And when the listener is shut down, it fails."""
    listener = await world.listener(path, family=AF_UNIX)

    async def accept() -> None:
        await world.accept(listener)

    async with background(accept):
        await world.connect(listener)


@parity
async def test_credentials_when_connected_then_those_of_this_process(world: World, path: str) -> None:
    """SO_PEERCRED: process, user, group; see unix(7)."""
    client, server = await unix_pair(world, path)
    expected = (os.getpid(), os.getuid(), os.getgid())
    for sock in [client, server]:
        found = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        assert struct.unpack("3i", found) == expected


@parity
async def test_peek_when_there_is_data_then_it_stays(world: World, path: str) -> None:
    """Looking takes nothing away."""
    client, server = await unix_pair(world, path)
    await client.send(b"peeked")
    assert await server.recv(3, socket.MSG_PEEK) == b"pee"
    assert await server.recv(100) == b"peeked"
