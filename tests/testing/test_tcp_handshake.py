"""How simulated TCP connections begin: what the handshake takes, and what lost packets make of it."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
import trio

from trioserver.testing import Network

from .sockets_kit import address, drop, fails_with, listen, pair, seen, tcp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from trioserver.testing import Packet


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    """A network with 10 ms from host to host."""
    with Network(1, latency=0.01) as network:
        for name in ("server", "client"):
            network.host(name)
        yield network


async def test_connect_when_there_is_a_listener_then_it_takes_one_round_trip(
    network: Network, autojump_clock: MockClock
) -> None:
    """And the server has the connection half a round trip later, when it is acknowledged."""
    listener = await listen(network)
    client = tcp(network)
    await client.connect(address(network))
    assert trio.current_time() == pytest.approx(0.02)
    assert not listener.is_readable()
    server, peer = await listener.accept()
    assert trio.current_time() == pytest.approx(0.03)
    assert peer == client.getsockname() == server.getpeername()
    assert server.getsockname() == client.getpeername() == address(network)


async def test_connect_when_nobody_listens_then_refused_after_a_round_trip(
    network: Network, autojump_clock: MockClock
) -> None:
    """A RST comes back."""
    packets: list[Packet] = []
    with network.rule(seen(packets)), fails_with(errno.ECONNREFUSED):
        await tcp(network).connect(address(network))
    assert trio.current_time() == pytest.approx(0.02)
    assert [packet.kind for packet in packets] == ["SYN", "RST"]
    assert packets[1].source == address(network)


@pytest.mark.parametrize(("kind", "lost", "seconds"), [("SYN", 1, 1), ("SYN", 3, 7), ("SYN-ACK", 1, 1)])
async def test_connect_when_packets_are_lost_then_they_are_sent_again_after_a_second_doubling(
    network: Network, autojump_clock: MockClock, kind: str, lost: int, seconds: float
) -> None:
    """RFC 6298: 1, 3, 7 ... seconds after the first."""
    await listen(network)
    with network.rule(drop(kind, times=lost)):
        await tcp(network).connect(address(network))
    assert trio.current_time() == pytest.approx(seconds + 0.02)


async def test_connect_when_nothing_comes_back_then_etimedout_after_127_seconds(
    network: Network, autojump_clock: MockClock
) -> None:
    """Six tries more, as Linux."""
    await listen(network)
    network.partition("client", "server")
    packets: list[Packet] = []
    with network.rule(seen(packets)), fails_with(errno.ETIMEDOUT):
        await tcp(network).connect(address(network))
    assert trio.current_time() == pytest.approx(127)
    assert [packet.kind for packet in packets] == ["SYN"] * 7


async def test_accept_when_the_last_acknowledgement_is_lost_then_the_server_asks_again(
    network: Network, autojump_clock: MockClock
) -> None:
    """The client is connected already; the SYN-ACK comes again after a second, and is acknowledged."""
    listener = await listen(network)
    with network.rule(drop("ACK", times=1)):
        await tcp(network).connect(address(network))
        assert trio.current_time() == pytest.approx(0.02)
        await listener.accept()
    assert trio.current_time() == pytest.approx(1.01 + 0.02)


async def test_accept_when_the_last_acknowledgement_is_lost_and_data_comes_then_that_will_do(
    network: Network,
    autojump_clock: MockClock,
) -> None:
    """Each segment acknowledges."""
    listener = await listen(network)
    client = tcp(network)
    with network.rule(drop("ACK", times=1)):
        await client.connect(address(network))
        await client.send(b"hello")
    server, _ = await listener.accept()
    assert await server.recv(10) == b"hello"
    assert trio.current_time() == pytest.approx(0.03)


async def test_listen_when_the_client_never_acknowledges_then_its_place_is_free_after_63_seconds(
    network: Network,
    autojump_clock: MockClock,
) -> None:
    """A flood of SYNs does not fill a backlog for ever."""
    listener = await listen(network, backlog=0)
    network.partition("server", "client", one_way=True)
    client = tcp(network)
    with trio.move_on_after(0.5):
        await client.connect(address(network))
    other = tcp(network, "other")
    await other.connect(address(network))
    assert trio.current_time() == pytest.approx(0.5 + 63, abs=0.1)
    assert (await listener.accept())[1] == other.getsockname()


async def test_connect_when_the_backlog_is_full_then_it_waits_for_a_place(
    network: Network, autojump_clock: MockClock
) -> None:
    """A backlog of 1 holds two; a third SYN is dropped, a later one gets the place that is free."""
    listener = await listen(network, backlog=1)
    first, second, third = tcp(network), tcp(network), tcp(network)
    await first.connect(address(network))
    await second.connect(address(network))
    with trio.move_on_after(0.5) as scope:
        await tcp(network).connect(address(network))
    assert scope.cancelled_caught
    await listener.accept()
    begin = trio.current_time()
    await third.connect(address(network))
    assert trio.current_time() - begin == pytest.approx(0.02)
    assert "the backlog of 10.0.0.1:80 is full" in str(network.log)


async def test_connect_when_cancelled_then_the_socket_is_closed_and_the_server_reset(
    network: Network, autojump_clock: MockClock
) -> None:
    """The SYN-ACK finds nobody: a RST answers it, and nothing is left in the backlog."""
    listener = await listen(network, backlog=0)
    client = tcp(network)
    with trio.move_on_after(0.015):
        await client.connect(address(network))
    assert client.fileno() == -1
    await trio.sleep(1)
    assert not listener.is_readable()
    assert network.connections == []
    await tcp(network).connect(address(network))


async def test_connect_when_the_address_is_nobodys_then_ehostunreach(
    network: Network, autojump_clock: MockClock
) -> None:
    """At once; and ENETUNREACH where this host has no address of the family."""
    with fails_with(errno.EHOSTUNREACH):
        await tcp(network).connect(("192.0.2.1", 80))
    network.host("old", "192.0.2.7")
    sock = tcp(network, "old", trio.socket.AF_INET6)
    with fails_with(errno.ENETUNREACH):
        await sock.connect(("fd00::1", 80))


async def test_connect_when_the_port_is_used_for_another_server_then_it_may_be_the_same(
    network: Network, autojump_clock: MockClock
) -> None:
    """A connection is known by both addresses, so that a client has as many as it wants."""
    await listen(network)
    await listen(network, "second")
    clients = [tcp(network) for _ in range(3)]
    await clients[0].bind((network.host("client").addresses[0], 5000))
    await clients[0].connect(address(network))
    for client in clients[1:]:
        await client.connect(address(network, "second"))
    assert [client.getsockname()[1] for client in clients] == [5000, 49152, 49153]


async def test_connections_when_established_then_listed_until_both_ends_are_closed(
    network: Network, autojump_clock: MockClock
) -> None:
    """With the addresses of both."""
    client, server = await pair(network)
    (connection,) = network.connections
    assert (connection.client, connection.server) == (client.getsockname(), server.getsockname())
    client.close()
    await trio.sleep(1)
    assert network.connections == [connection]
    server.close()
    await trio.sleep(1)
    assert network.connections == []


async def test_backlog_when_a_handshake_is_replaced_then_its_place_is_free(
    network: Network, autojump_clock: MockClock
) -> None:
    """By one from the same port: a client that has restarted chooses the same ports once more."""
    listener = await listen(network, backlog=1)
    with network.rule(drop("SYN-ACK")):
        for _ in range(2):
            with trio.move_on_after(0.5):
                await tcp(network).connect(address(network))
            network.host("client").restart()
    await trio.sleep(300)
    with trio.fail_after(1):
        for _ in range(2):
            await tcp(network).connect(address(network))
    listener.close()
