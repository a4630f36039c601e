"""TCP: the ways to send."""

from __future__ import annotations

import array
import errno
import socket
from typing import Any

import pytest

from .kit import fails_with, receive_exactly
from .worlds import World, parity


@pytest.mark.parametrize(
    "data", [b"bytes", bytearray(b"bytes"), memoryview(b"-bytes-")[1:-1], array.array("B", b"bytes")]
)
@parity
async def test_send_when_given_a_buffer_then_its_bytes_are_sent(world: World, data: Any) -> None:
    """Of any kind."""
    client, server = await world.pair()
    assert await client.send(data) == 5
    assert await receive_exactly(server, 5) == b"bytes"


@parity
async def test_send_when_the_items_are_large_then_bytes_are_counted(world: World) -> None:
    """Not items."""
    client, server = await world.pair()
    data = array.array("I", [1, 2, 3])
    assert await client.send(data) == 12
    assert await receive_exactly(server, 12) == data.tobytes()


@parity
async def test_send_when_the_buffer_changes_afterwards_then_what_was_sent_does_not(world: World) -> None:
    """It was copied."""
    client, server = await world.pair()
    data = bytearray(b"before")
    await client.send(data)
    data[:] = b"after!"
    assert await receive_exactly(server, 6) == b"before"


@pytest.mark.parametrize("data", ["text", None, 5])
@parity
async def test_send_when_given_no_buffer_then_type_error(world: World, data: Any) -> None:
    """And nothing is sent."""
    client, server = await world.pair()
    with pytest.raises(TypeError, match="bytes-like"):
        await client.send(data)
    client.close()
    assert await server.recv(10) == b""


@parity
async def test_send_when_empty_then_nothing_happens(world: World) -> None:
    """It is not the end of the stream."""
    client, server = await world.pair()
    assert await client.send(b"") == 0
    await world.quiet()
    assert not server.is_readable()
    await client.send(b"x")
    assert await server.recv(10) == b"x"


@parity
async def test_sendmsg_when_given_several_buffers_then_they_are_joined(world: World) -> None:
    """Any iterable of them."""
    client, server = await world.pair()
    assert await client.sendmsg([b"ab", bytearray(b"cd"), b"", memoryview(b"e")]) == 5
    assert await client.sendmsg(iter([b"f"])) == 1
    assert await client.sendmsg([]) == 0
    assert await receive_exactly(server, 6) == b"abcdef"


@pytest.mark.parametrize("buffers", [["text"], 5])
@parity
async def test_sendmsg_when_given_no_buffers_then_type_error(world: World, buffers: Any) -> None:
    """As the standard library has it."""
    client, _ = await world.pair()
    with pytest.raises(TypeError):
        await client.sendmsg(buffers)


@parity
async def test_sendto_when_connected_then_the_address_is_ignored(world: World) -> None:
    """The connection knows where to."""
    client, server = await world.pair()
    assert await client.sendto(b"abc", ("127.0.0.1", 9)) == 3
    assert await client.sendmsg([b"def"], [], 0, ("127.0.0.1", 9)) == 3
    assert await receive_exactly(server, 6) == b"abcdef"


@pytest.mark.parametrize("bound", [False, True])
@parity
async def test_send_when_not_connected_then_epipe(world: World, bound: bool) -> None:
    """Linux says that the pipe is broken; POSIX has ENOTCONN."""
    sock = await world.bound() if bound else world.socket()
    with fails_with(errno.EPIPE):
        await sock.send(b"x")
    with fails_with(errno.EPIPE):
        await sock.sendto(b"x", ("127.0.0.1", 9))


@pytest.mark.parametrize("bound", [False, True])
@parity
async def test_recv_when_not_connected_then_enotconn(world: World, bound: bool) -> None:
    """At once; it would wait for ever."""
    sock = await world.bound() if bound else world.socket()
    with fails_with(errno.ENOTCONN):
        await sock.recv(1)
    with fails_with(errno.ENOTCONN):
        await sock.recv_into(bytearray(1))


@parity
async def test_nosignal_when_given_then_it_changes_nothing(world: World) -> None:
    """Python ignores the signal anyway."""
    client, server = await world.pair()
    await client.send(b"x", socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)
    assert await server.recv(1) == b"x"


@parity
async def test_more_when_more_comes_then_all_arrives(world: World) -> None:
    """MSG_MORE says that the segment is not full yet."""
    client, server = await world.pair()
    await client.send(b"a", socket.MSG_MORE)
    await client.send(b"b")
    assert await receive_exactly(server, 2) == b"ab"


@parity
async def test_send_when_both_ends_do_then_the_directions_are_separate(world: World) -> None:
    """Each is a stream of its own."""
    client, server = await world.pair()
    await client.send(b"to the server")
    await server.send(b"to the client")
    assert await receive_exactly(client, 13) == b"to the client"
    assert await receive_exactly(server, 13) == b"to the server"


@parity
async def test_wait_writable_when_there_is_room_then_at_once(world: World) -> None:
    """Connected or not: a socket that can only fail is ready to fail."""
    client, server = await world.pair()
    for sock in [client, server, world.socket()]:
        assert not await world.is_stuck(sock.wait_writable)


@parity
async def test_is_readable_when_not_connected_then_true(world: World) -> None:
    """Linux reports a hang-up on a socket that was never connected, and that is an event."""
    assert world.socket().is_readable()
