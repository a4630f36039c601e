"""Unix sockets: streams that end, and streams that are full."""

from __future__ import annotations

import errno
import socket
from socket import AF_UNIX

import pytest
import trio

from .kit import fails_with, receive_all, receive_exactly
from .unix_kit import unix_pair
from .worlds import World, background, parity


@parity
async def test_shutdown_when_writing_ends_then_the_other_direction_goes_on(world: World, path: str) -> None:
    """A reply can follow the end of the request."""
    client, server = await unix_pair(world, path)
    await client.send(b"request")
    client.shutdown(socket.SHUT_WR)
    assert await receive_all(server) == b"request"
    with fails_with(errno.EPIPE):
        await client.send(b"more")
    await server.send(b"reply")
    server.close()
    assert await receive_all(client) == b"reply"


@parity
async def test_shutdown_when_reading_ends_then_the_peer_can_not_send(world: World, path: str) -> None:
    """Unlike TCP: both ends are in one kernel."""
    client, server = await unix_pair(world, path)
    client.shutdown(socket.SHUT_RD)
    assert await client.recv(1) == b""
    with fails_with(errno.EPIPE):
        await server.send(b"x")
    await client.send(b"y")
    assert await server.recv(1) == b"y"


@parity
async def test_shutdown_when_not_connected_then_it_is_remembered(world: World, path: str) -> None:
    """Unlike TCP, where it is ENOTCONN."""
    for sock in [world.socket(AF_UNIX), await world.bound(path, family=AF_UNIX)]:
        sock.shutdown(socket.SHUT_WR)
        with fails_with(errno.EPIPE, errno.ENOTCONN):
            await sock.send(b"x")


@parity
async def test_send_when_the_peer_has_closed_then_epipe_at_once(world: World, path: str) -> None:
    """Unlike TCP: nobody has to answer first."""
    client, server = await unix_pair(world, path)
    server.close()
    with fails_with(errno.EPIPE):
        await client.send(b"x")
    assert await client.recv(1) == b""


@parity
async def test_close_when_data_are_unread_then_the_peer_gets_econnreset(world: World, path: str) -> None:
    """Once; then it is the end."""
    client, server = await unix_pair(world, path)
    await client.send(b"never read")
    server.close()
    with fails_with(errno.ECONNRESET):
        await client.recv(1)
    assert await client.recv(1) == b""
    with fails_with(errno.EPIPE):
        await client.send(b"x")


@parity
async def test_close_when_it_has_sent_then_the_peer_reads_it_before_the_end(world: World, path: str) -> None:
    """Closing loses nothing that was sent."""
    client, server = await unix_pair(world, path)
    await client.send(b"last words")
    client.close()
    assert await receive_all(server) == b"last words"


@parity
async def test_recv_when_it_waits_and_the_peer_closes_then_it_is_woken(world: World, path: str) -> None:
    """By the end of the stream."""
    client, server = await unix_pair(world, path)

    async def receive() -> None:
        assert await client.recv(1) == b""

    async with background(receive):
        server.close()


@parity
async def test_close_when_a_task_waits_then_closed_resource_error(world: World, path: str) -> None:
    """trio's own error."""
    client, _ = await unix_pair(world, path)

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await client.recv(1)

    async with background(receive):
        client.close()


@parity
async def test_send_when_nobody_reads_then_it_waits_until_somebody_does(world: World, path: str) -> None:
    """Backpressure, as over TCP."""
    client, server = await unix_pair(world, path)
    total = await world.fill(client)
    assert 10_000 <= total < 10_000_000
    while not await world.is_stuck(client.wait_writable):
        total += await world.fill(client)

    async def send() -> None:
        await client.send(b"the last")

    async with background(send):
        await receive_exactly(server, total)
    assert await receive_exactly(server, 8) == b"the last"


@parity
async def test_send_when_it_waits_and_the_peer_closes_then_epipe(world: World, path: str) -> None:
    """The pipe is broken, not reset, for who writes."""
    client, server = await unix_pair(world, path)
    await world.fill(client)

    async def send() -> None:
        with fails_with(errno.EPIPE):
            while True:
                await client.send(bytes(10_000))

    async with background(send):
        server.close()


@pytest.mark.parametrize("bound", [False, True])
@parity
async def test_send_and_recv_when_not_connected_then_errors(world: World, path: str, bound: bool) -> None:
    """ENOTCONN to send, EINVAL to receive: Linux's own way."""
    sock = await world.bound(path, family=AF_UNIX) if bound else world.socket(AF_UNIX)
    with fails_with(errno.ENOTCONN):
        await sock.send(b"x")
    with fails_with(errno.EINVAL):
        await sock.recv(1)
    with fails_with(errno.ENOTCONN):
        sock.getpeername()


@parity
async def test_sendto_when_connected_then_eisconn(world: World, path: str) -> None:
    """A stream's peer can not be chosen; TCP ignores the address instead."""
    client, _ = await unix_pair(world, path)
    with fails_with(errno.EISCONN):
        await client.sendto(b"x", path)


@parity
async def test_recvfrom_when_the_peer_has_no_name_then_no_address(world: World, path: str) -> None:
    """Nothing at all, where a datagram socket says None."""
    client, server = await unix_pair(world, path)
    await client.send(b"abcd")
    assert (await server.recvfrom(2))[0] == b"ab"
    assert (await server.recvmsg(2))[:3] == (b"cd", [], 0)


@parity
async def test_getpeername_when_the_peer_has_closed_then_it_is_still_known(world: World, path: str) -> None:
    """Unlike TCP after both ends have closed."""
    client, server = await unix_pair(world, path)
    server.close()
    assert await client.recv(1) == b""
    assert client.getpeername() == path
