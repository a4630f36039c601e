"""Waiting for simulated sockets: cancelling, interrupting, closing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from trioserver.testing import Network
from trioserver.testing._sockets import SimulatedSocket

from .sockets_kit import address, clog, pair, udp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    """A network with 10 ms from host to host."""
    with Network(1, latency=0.01) as network:
        yield network


async def test_receive_when_cancelled_then_nothing_is_lost(
    network: Network, autojump_clock: MockClock
) -> None:
    """What came in the very moment is still there."""
    client, server = await pair(network)
    await client.send(b"hello")
    with trio.move_on_after(0.01):
        await server.recv(10)
        pytest.fail("the deadline comes first")
    with trio.CancelScope() as scope:
        scope.cancel()
        await server.recv(10)
    assert await server.recv(10) == b"hello"


async def test_send_when_cancelled_then_nothing_is_sent(network: Network, autojump_clock: MockClock) -> None:
    """Neither on a stream nor as a datagram."""
    client, server = await pair(network)
    sender = udp(network, "client")
    with trio.CancelScope() as scope:
        scope.cancel()
        await client.send(b"hello")
    with trio.CancelScope() as scope:
        scope.cancel()
        await sender.sendto(b"hello", address(network))
    assert client.unsent_bytes() == 0
    await trio.sleep(1)
    assert not server.is_readable()
    assert "DATAGRAM" not in str(network.log)


@pytest.mark.parametrize("wait", ["wait_readable", "wait_writable"])
async def test_wait_when_interrupted_then_closed_resource_error_and_the_socket_stays_open(
    network: Network, autojump_clock: MockClock, wait: str
) -> None:
    """Both for one who waits and for one who was only passing; the next wait knows nothing of it."""
    client, server = await pair(network)
    await clog(server)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def waiter() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await getattr(server, wait)()

        await trio.testing.wait_all_tasks_blocked()
        server.interrupt()
    with trio.move_on_after(1) as scope:
        await getattr(server, wait)()
    assert scope.cancelled_caught
    client.close()
    with trio.fail_after(10):
        await getattr(server, wait)()


async def test_wait_when_ready_then_it_is_a_checkpoint_and_the_only_one(
    network: Network, autojump_clock: MockClock
) -> None:
    """A second task is told that there is another, as by trio."""
    client, _ = await pair(network)
    with trio.testing.assert_checkpoints():
        await client.wait_writable()
    busy: list[Any] = []

    async def wait() -> None:
        try:
            await client.wait_writable()
        except trio.BusyResourceError as error:
            busy.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        nursery.start_soon(wait)
    assert len(busy) == 1


async def test_network_when_left_then_its_sockets_are_closed(autojump_clock: MockClock) -> None:
    """Whoever waits is told; what is made afterwards is the kernel's."""
    with Network(1) as network:
        client, _ = await pair(network)
    with pytest.raises(OSError, match="Bad file descriptor"):
        await client.recv(10)
    with trio.socket.socket() as real:
        assert not isinstance(real, SimulatedSocket)
