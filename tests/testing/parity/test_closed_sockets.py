"""Sockets that were closed, doubled, or given away."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest
import trio

from .kit import fails_with, receive_exactly
from .worlds import LOCALHOST, Socket, World, background, parity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

CALLS: dict[str, Callable[[Socket], object]] = {
    "getsockname": lambda sock: sock.getsockname(),
    "getpeername": lambda sock: sock.getpeername(),
    "getsockopt": lambda sock: sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE),
    "setsockopt": lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1),
    "listen": lambda sock: sock.listen(1),
    "shutdown": lambda sock: sock.shutdown(socket.SHUT_RDWR),
    "dup": lambda sock: sock.dup(),
}
WAITS: dict[str, Callable[[Socket], Awaitable[object]]] = {
    "recv": lambda sock: sock.recv(1),
    "recv_into": lambda sock: sock.recv_into(bytearray(1)),
    "recvfrom": lambda sock: sock.recvfrom(1),
    "recvmsg": lambda sock: sock.recvmsg(1),
    "send": lambda sock: sock.send(b"x"),
    "sendto": lambda sock: sock.sendto(b"x", (LOCALHOST, 1)),
    "sendmsg": lambda sock: sock.sendmsg([b"x"]),
    "bind": lambda sock: sock.bind((LOCALHOST, 0)),
    "connect": lambda sock: sock.connect((LOCALHOST, 1)),
    "accept": lambda sock: sock.accept(),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@parity
async def test_call_when_closed_then_ebadf(world: World, call: Callable[[Socket], object]) -> None:
    """It has no descriptor any more."""
    client, _ = await world.pair()
    client.close()
    with fails_with(errno.EBADF):
        call(client)


@pytest.mark.parametrize("operation", WAITS.values(), ids=WAITS.keys())
@parity
async def test_operation_when_closed_then_ebadf(
    world: World, operation: Callable[[Socket], Awaitable[object]]
) -> None:
    """The standard library's error: nobody was waiting when it was closed."""
    client, _ = await world.pair()
    client.close()
    with fails_with(errno.EBADF):
        await operation(client)


@parity
async def test_close_when_done_twice_then_nothing_happens(world: World) -> None:
    """A closed socket has no number, but still knows what it was."""
    sock = world.socket()
    assert sock.fileno() >= 0
    sock.close()
    sock.close()
    assert sock.fileno() == -1
    assert (sock.family, sock.type) == (socket.AF_INET, socket.SOCK_STREAM)


@parity
async def test_socket_when_used_as_a_context_then_closed_at_its_end(world: World) -> None:
    """Also when the block raised."""
    with world.socket() as sock:
        assert sock.fileno() >= 0
    assert sock.fileno() == -1
    with pytest.raises(KeyError):
        with world.socket() as sock:
            raise KeyError
    assert sock.fileno() == -1


@parity
async def test_fileno_when_there_are_many_then_all_differ(world: World) -> None:
    """It is how programs tell sockets apart."""
    socks = [world.socket() for _ in range(10)]
    assert len({sock.fileno() for sock in socks}) == 10


@parity
async def test_recv_when_closed_and_nothing_is_asked_for_then_empty(world: World) -> None:
    """Zero bytes are received from anything, as Python has it."""
    client, _ = await world.pair()
    client.close()
    assert await client.recv(0) == b""


@parity
async def test_wait_writable_when_closed_then_an_error(world: World) -> None:
    """Of the kind that waiting for a descriptor raises."""
    client, _ = await world.pair()
    client.close()
    with pytest.raises((OSError, ValueError, trio.ClosedResourceError)):
        await client.wait_writable()


@parity
async def test_is_readable_when_closed_then_value_error(world: World) -> None:
    """There is nothing to look at."""
    client, _ = await world.pair()
    client.close()
    with pytest.raises(ValueError, match="file descriptor"):
        client.is_readable()


@parity
async def test_dup_when_one_is_closed_then_the_other_is_the_connection_still(world: World) -> None:
    """The peer sees the end when the last one closes."""
    client, server = await world.pair()
    copy = world.keep(client.dup())
    assert copy.fileno() != client.fileno()
    client.close()
    assert copy.getpeername() == server.getsockname()
    await copy.send(b"x")
    assert await server.recv(1) == b"x"
    await world.quiet()
    assert not server.is_readable()
    copy.close()
    assert await server.recv(1) == b""


@parity
async def test_dup_when_both_read_then_each_byte_comes_once(world: World) -> None:
    """They are two handles of one stream, with one set of options."""
    client, server = await world.pair()
    copy = world.keep(client.dup())
    await server.send(b"abcd")
    assert await receive_exactly(client, 2) + await receive_exactly(copy, 2) == b"abcd"
    copy.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


@parity
async def test_dup_when_one_shuts_down_then_the_other_is_shut_down(world: World) -> None:
    """It is the connection that is shut down."""
    client, server = await world.pair()
    copy = world.keep(client.dup())
    copy.shutdown(socket.SHUT_WR)
    assert await server.recv(1) == b""
    with fails_with(errno.EPIPE):
        await client.send(b"x")


@parity
async def test_dup_when_of_a_listener_then_both_accept(world: World) -> None:
    """And it listens until both are closed."""
    listener = await world.listener()
    copy = world.keep(listener.dup())

    async def accept() -> None:
        await world.accept(copy)

    async with background(accept):
        await world.connect(listener)
    listener.close()
    client = await world.connect(copy)
    assert (await world.accept(copy)).getpeername() == client.getsockname()


@parity
async def test_detach_when_called_then_the_descriptor_is_the_callers(world: World) -> None:
    """The socket counts as closed; the connection lives."""
    client, server = await world.pair()
    descriptor = client.detach()
    assert client.fileno() == -1
    with trio.socket.fromfd(descriptor) as again:
        os.close(descriptor)
        await again.send(b"x")
        assert await server.recv(1) == b"x"
