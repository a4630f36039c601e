"""What a crash of its host makes of a simulated TCP connection."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
import trio

from trioserver.testing import Network

from .sockets_kit import (
    address,
    fails_with,
    listen,
    pair,
    tcp,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    """A network with 10 ms from host to host."""
    with Network(1, latency=0.01) as network:
        yield network


async def test_crash_when_the_peer_waits_then_it_hears_nothing(
    network: Network, autojump_clock: MockClock
) -> None:
    """No FIN and no RST: it waits for ever."""
    client, _ = await pair(network)
    network.host("server").crash()
    with trio.move_on_after(100_000) as scope:
        await client.recv(10)
    assert scope.cancelled_caught


async def test_crash_when_restarted_then_what_comes_is_answered_by_a_reset(
    network: Network, autojump_clock: MockClock
) -> None:
    """It remembers no connection; the descriptors from before are closed."""
    client, server = await pair(network)
    host = network.host("server")
    host.crash()
    host.restart()
    await client.send(b"hello")
    with fails_with(errno.ECONNRESET):
        await client.recv(10)
    with fails_with(errno.EBADF):
        await server.recv(10)
    assert server.fileno() == -1


async def test_crash_when_tasks_wait_on_the_host_then_closed_resource_error(
    network: Network, autojump_clock: MockClock
) -> None:
    """Their sockets are gone."""
    _, server = await pair(network)
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await server.recv(10)

        await trio.testing.wait_all_tasks_blocked()
        network.host("server").crash()


async def test_crash_when_a_closed_connection_has_data_left_then_it_is_gone_too(
    network: Network, autojump_clock: MockClock
) -> None:
    """No socket of the host's knows of it any more; nothing of it may come after the restart."""
    client, server = await pair(network)
    network.hold("server", "client")
    await server.send(b"half")
    server.close()
    await trio.sleep(1)
    host = network.host("server")
    host.crash()
    host.restart()
    network.link("server", "client", loss=1)
    network.release("server", "client")
    await trio.sleep(1)
    network.link("server", "client", loss=0)
    with trio.move_on_after(1000):
        assert await client.recv(10) != b"half"
        pytest.fail("something came")


async def test_crash_when_the_client_comes_back_with_the_same_port_then_the_old_connection_is_reset(
    network: Network, autojump_clock: MockClock
) -> None:
    """The server still had it: its SYN says that it is over."""
    listener = await listen(network)
    before = tcp(network)
    await before.connect(address(network))
    old, peer = await listener.accept()
    network.host("client").crash()
    network.host("client").restart()
    again = tcp(network)
    await again.connect(address(network))
    new, same_peer = await listener.accept()
    assert peer == same_peer
    with fails_with(errno.ECONNRESET):
        await old.recv(1)
    await again.send(b"hello")
    assert await new.recv(10) == b"hello"
