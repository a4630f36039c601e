"""Simulated sockets as objects: descriptors, waiting, cancelling, hosts."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

import trioserver
from trioserver.testing import Network
from trioserver.testing._sockets import SimulatedSocket

from .sockets_kit import address, fails_with, listen, pair, tcp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    """A network with 10 ms from host to host."""
    with Network(1, latency=0.01) as network:
        yield network


def test_socket_when_made_then_it_is_trios_and_an_endpoint(autojump_clock: MockClock) -> None:
    """What checks for either, finds it."""

    async def main() -> None:
        with Network(1):
            stream = trio.socket.socket()
            assert isinstance(stream, (SimulatedSocket, trio.socket.SocketType))
            assert isinstance(stream, trioserver.Endpoint)
            datagrams = trio.socket.socket(socket.AF_INET6, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            assert isinstance(datagrams, trioserver.DatagramEndpoint)
            assert (datagrams.family, datagrams.type) == (socket.AF_INET6, socket.SOCK_DGRAM)
            assert isinstance(datagrams.type, socket.SocketKind)

    trio.run(main)


@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        ((socket.AF_APPLETALK,), errno.EAFNOSUPPORT),
        ((socket.AF_INET, socket.SOCK_RAW), errno.ESOCKTNOSUPPORT),
        ((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_UDP), errno.EPROTONOSUPPORT),
    ],
)
async def test_socket_when_there_is_no_such_kind_then_an_error(
    network: Network, autojump_clock: MockClock, arguments: tuple[int, ...], number: int
) -> None:
    """And no descriptor is taken."""
    with fails_with(number):
        trio.socket.socket(*arguments)
    assert not any(host.sockets for host in network.hosts.values())


async def test_descriptors_when_there_are_too_many_then_emfile(
    network: Network, autojump_clock: MockClock
) -> None:
    """Closing one makes room; a connection that could not be accepted stays in the backlog."""
    listener = await listen(network)
    client = tcp(network)
    await client.connect(address(network))
    network.host("server").max_fds = 1
    with fails_with(errno.EMFILE):
        await listener.accept()
    with fails_with(errno.EMFILE), network.host("server"):
        trio.socket.socket()
    network.host("server").max_fds = 2
    _, peer = await listener.accept()
    assert peer == client.getsockname()


async def test_detach_when_called_then_an_error(network: Network, autojump_clock: MockClock) -> None:
    """There is no descriptor of the system's to give away."""
    sock = tcp(network)
    with fails_with(errno.EOPNOTSUPP):
        sock.detach()
    assert sock.fileno() >= 2**30


async def test_dup_when_one_is_closed_then_the_other_goes_on(
    network: Network, autojump_clock: MockClock
) -> None:
    """They share what is behind them; only who waits on the one that is closed is woken."""
    client, server = await pair(network)
    other = server.dup()
    assert other.fileno() != server.fileno()
    assert other.getpeername() == server.getpeername()
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await server.recv(10)

        await trio.testing.wait_all_tasks_blocked()
        server.close()
    await client.send(b"hello")
    assert await other.recv(10) == b"hello"
    other.close()
    assert await client.recv(10) == b""


async def test_bind_when_not_awaited_then_it_is_bound_already(
    network: Network, autojump_clock: MockClock
) -> None:
    """And nothing warns: endpoints are bound so."""
    sock = tcp(network)
    sock.bind(("127.0.0.1", 1234))
    assert sock.getsockname() == ("127.0.0.1", 1234)


async def test_bind_when_cancelled_then_it_is_not_bound(network: Network, autojump_clock: MockClock) -> None:
    """trio's rule: who was cancelled has done nothing. The port is free."""
    sock = tcp(network)
    with trio.CancelScope() as scope:
        scope.cancel()
        await sock.bind(("127.0.0.1", 1234))
    assert scope.cancelled_caught
    assert sock.getsockname() == ("0.0.0.0", 0)
    await tcp(network).bind(("127.0.0.1", 1234))


async def test_bind_when_to_the_name_of_a_host_then_it_is_looked_up(
    network: Network, autojump_clock: MockClock
) -> None:
    """By the network's resolver; to another host's it can not be bound."""
    network.host("server")
    sock = tcp(network)
    await sock.bind(("client", 1234))
    assert sock.getsockname() == (network.host("client").addresses[0], 1234)
    with fails_with(errno.EADDRNOTAVAIL):
        await tcp(network).bind(("server", 1234))


async def test_hosts_when_a_task_is_started_in_a_block_then_its_sockets_are_of_that_host(
    network: Network, autojump_clock: MockClock
) -> None:
    """Without a block they are of "localhost"."""
    found: dict[str, Any] = {}

    async def make(name: str) -> None:
        await trio.lowlevel.checkpoint()
        found[name] = trio.socket.socket()

    async with trio.open_nursery() as nursery:
        with network.host("a"):
            nursery.start_soon(make, "a")
        nursery.start_soon(make, "localhost")
    for name, sock in found.items():
        assert network.host(name).sockets == {sock.fileno(): sock}
