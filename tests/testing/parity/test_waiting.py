"""Tasks that wait for a socket: closed, cancelled, two of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
import trio

from .kit import receive_exactly
from .worlds import Socket, World, background, parity

Operation: TypeAlias = Callable[[Socket], Awaitable[object]]
RECEIVING: dict[str, Operation] = {
    "recv": lambda sock: sock.recv(1),
    "recv_into": lambda sock: sock.recv_into(bytearray(1)),
    "recvfrom": lambda sock: sock.recvfrom(1),
    "recvmsg": lambda sock: sock.recvmsg(1),
}
SENDING: dict[str, Operation] = {
    "send": lambda sock: sock.send(bytes(10_000)),
    "sendmsg": lambda sock: sock.sendmsg([bytes(10_000)]),
    "wait_writable": lambda sock: sock.wait_writable(),
}
each_receiving = pytest.mark.parametrize("operation", RECEIVING.values(), ids=RECEIVING.keys())
each_sending = pytest.mark.parametrize("operation", SENDING.values(), ids=SENDING.keys())


async def repeat(sock: Socket, operation: Operation) -> None:
    """Again and again: the kernel may find a little more room in a buffer that was full."""
    while True:
        await operation(sock)


async def fails_when_closed(sock: Socket, operation: Operation) -> None:
    """Close a socket while an operation waits on it."""

    async def wait() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await repeat(sock, operation)

    async with background(wait):
        sock.close()


async def fails_when_busy(sock: Socket, operation: Operation) -> None:
    """Start an operation while the same waits already."""
    with pytest.RaisesGroup(trio.BusyResourceError):
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(repeat, sock, operation)


@each_receiving
@parity
async def test_close_when_a_task_receives_then_closed_resource_error(
    world: World, operation: Operation
) -> None:
    """trio's own error; it is not the peer who closed."""
    client, _ = await world.pair()
    await fails_when_closed(client, operation)


@each_sending
@parity
async def test_close_when_a_task_sends_then_closed_resource_error(world: World, operation: Operation) -> None:
    """Also where it waits for room."""
    client, _ = await world.pair()
    await world.fill(client)
    await fails_when_closed(client, operation)


@parity
async def test_close_when_a_task_accepts_then_closed_resource_error(world: World) -> None:
    """A server that is told to stop is woken so."""
    await fails_when_closed(await world.listener(), lambda sock: sock.accept())


@parity
async def test_close_when_a_task_connects_then_closed_resource_error(world: World) -> None:
    """The handshake is given up."""
    listener = await world.listener(backlog=0)
    await world.connect(listener)
    await fails_when_closed(world.socket(), lambda sock: sock.connect(listener.getsockname()))


@parity
async def test_connect_when_another_task_connects_then_busy_resource_error(world: World) -> None:
    """Both would wait for the same answer."""
    listener = await world.listener(backlog=0)
    await world.connect(listener)
    await fails_when_busy(world.socket(), lambda sock: sock.connect(listener.getsockname()))


@parity
async def test_close_when_a_task_waits_for_a_datagram_then_closed_resource_error(world: World) -> None:
    """Also where there are no connections."""
    await fails_when_closed(await world.datagrams(), RECEIVING["recvfrom"])


@each_receiving
@parity
async def test_receive_when_another_task_does_then_busy_resource_error(
    world: World, operation: Operation
) -> None:
    """Two tasks that read one stream are a mistake."""
    client, _ = await world.pair()
    await fails_when_busy(client, operation)


@each_sending
@parity
async def test_send_when_another_task_does_then_busy_resource_error(
    world: World, operation: Operation
) -> None:
    """So are two that write one."""
    client, _ = await world.pair()
    await world.fill(client)
    await fails_when_busy(client, operation)


@parity
async def test_accept_when_another_task_does_then_busy_resource_error(world: World) -> None:
    """And two that accept."""
    await fails_when_busy(await world.listener(), lambda sock: sock.accept())


@parity
async def test_recv_and_send_when_two_tasks_share_a_socket_then_both_work(world: World) -> None:
    """One reads, one writes."""
    client, server = await world.pair()
    total = await world.fill(client)

    async def receive() -> None:
        assert await client.recv(1) == b"x"

    async def send() -> None:
        await client.send(b"y")

    async with background(receive, send):
        await receive_exactly(server, total)
        assert await server.recv(1) == b"y"
        await server.send(b"x")


@each_receiving
@parity
async def test_receive_when_cancelled_then_nothing_was_taken(world: World, operation: Operation) -> None:
    """While it waits, and before it looks."""
    client, server = await world.pair()
    assert await world.is_stuck(operation, server)
    await client.send(b"all")
    await world.settle(server.is_readable)
    with trio.CancelScope() as scope:
        scope.cancel()
        await operation(server)
    assert scope.cancelled_caught
    assert await receive_exactly(server, 3) == b"all"


@parity
async def test_send_when_cancelled_before_then_nothing_is_sent(world: World) -> None:
    """Room or no room."""
    client, server = await world.pair()
    with trio.CancelScope() as scope:
        scope.cancel()
        await client.send(b"never")
    assert scope.cancelled_caught
    client.close()
    assert await server.recv(10) == b""


@parity
async def test_accept_when_cancelled_then_the_connection_still_waits(world: World) -> None:
    """It is never lost."""
    listener = await world.listener()
    client = await world.connect(listener)
    await world.settle(listener.is_readable)
    with trio.CancelScope() as scope:
        scope.cancel()
        await listener.accept()
    assert scope.cancelled_caught
    assert (await world.accept(listener)).getpeername() == client.getsockname()


@parity
async def test_bind_when_cancelled_then_not_bound(world: World) -> None:
    """Even that is a checkpoint in trio."""
    sock = world.socket()
    with trio.CancelScope() as scope:
        scope.cancel()
        await sock.bind(("127.0.0.1", 0))
    assert scope.cancelled_caught
    assert sock.getsockname() == ("0.0.0.0", 0)
