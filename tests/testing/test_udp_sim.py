"""Simulated UDP between hosts: what is lost, doubled, refused, cut."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
import trio

from trioserver.testing import Network

from .sockets_kit import fails_with, seen, udp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from trioserver.testing import Packet


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    """A network with 10 ms from host to host."""
    with Network(1, latency=0.01) as network:
        yield network


async def bound(
    network: Network, host: str, port: int = 53
) -> tuple[trio.socket.SocketType, tuple[str, int]]:
    """A UDP socket on all addresses of a host, and one of these."""
    sock = udp(network, host)
    await sock.bind(("0.0.0.0", port))
    return sock, (network.host(host).addresses[0], port)


async def test_datagram_when_sent_then_it_arrives_after_the_latency_with_its_sender(
    network: Network, autojump_clock: MockClock
) -> None:
    """The address is that of the host, though the socket is bound to none."""
    server, address = await bound(network, "server")
    client = udp(network, "client")
    await client.sendto(b"hello", address)
    data, sender = await server.recvfrom(100)
    assert (data, sender) == (b"hello", (network.host("client").addresses[0], 49152))
    assert trio.current_time() == pytest.approx(0.01)
    await server.sendto(b"reply", sender)
    assert await client.recvfrom(100) == (b"reply", address)


async def test_datagrams_when_links_lose_and_double_them_then_so_many_arrive(
    network: Network, autojump_clock: MockClock
) -> None:
    """Nobody sends them again, and nobody sorts them."""
    server, address = await bound(network, "server")
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000_000)
    client = udp(network, "client")
    network.link("client", "server", loss=0.2, duplication=0.2, reordering=0.3)
    for number in range(500):
        await client.sendto(b"%d" % number, address)
    await trio.sleep(1)
    got = []
    while server.is_readable():
        got.append(int(await server.recv(100)))
    assert 350 < len(set(got)) < 450
    assert len(got) > len(set(got)) + 50
    assert got != sorted(got)


async def test_datagrams_when_nobody_reads_then_the_queue_is_bounded(
    network: Network, autojump_clock: MockClock
) -> None:
    """By SO_RCVBUF; empty ones take room, too. What is dropped is in the log."""
    server, address = await bound(network, "server")
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
    client = udp(network, "client")
    for _ in range(100):
        await client.sendto(b"", address)
    await trio.sleep(1)
    count = 0
    while server.is_readable():
        assert await server.recv(100) == b""
        count += 1
    assert 20 < count < 60
    assert str(network.log).count("receive queue full") == 100 - count


async def test_refusal_when_nobody_has_the_port_then_connected_sockets_are_told(
    network: Network, autojump_clock: MockClock
) -> None:
    """By a packet, which takes its time and may be lost; others are not told."""
    network.host("server")
    address = network.host("server").addresses[0], 53
    client, other = udp(network, "client"), udp(network, "client")
    packets: list[Packet] = []
    with network.rule(seen(packets)):
        await client.connect(address)
        await client.send(b"hello")
        await other.sendto(b"hello", address)
        with fails_with(errno.ECONNREFUSED):
            await client.recv(10)
        await trio.sleep(1)
    assert trio.current_time() == pytest.approx(1.02)
    assert sorted(packet.kind for packet in packets) == ["DATAGRAM", "DATAGRAM", "UNREACHABLE", "UNREACHABLE"]
    assert not other.is_readable()


async def test_sendto_when_the_address_is_nobodys_then_it_is_lost(
    network: Network, autojump_clock: MockClock
) -> None:
    """As on an Ethernet; without an address of the family there is an error."""
    client = udp(network, "client")
    assert await client.sendto(b"hello", ("192.0.2.1", 53)) == 5
    network.host("old", "192.0.2.7")
    with fails_with(errno.ENETUNREACH):
        await udp(network, "old", socket.AF_INET6).sendto(b"hello", ("fd00::1", 53))


async def test_sendto_when_from_loopback_to_another_host_then_einval(
    network: Network, autojump_clock: MockClock
) -> None:
    """127.0.0.1 means nothing there."""
    _, address = await bound(network, "server")
    client = udp(network, "client")
    await client.bind(("127.0.0.1", 0))
    with fails_with(errno.EINVAL):
        await client.sendto(b"hello", address)


@pytest.mark.parametrize(
    ("family", "host", "largest"), [(socket.AF_INET, 0, 65507), (socket.AF_INET6, 1, 65527)]
)
async def test_sendto_when_too_long_then_emsgsize(
    network: Network, autojump_clock: MockClock, family: int, host: int, largest: int
) -> None:
    """What fits into an IP packet fits."""
    address = network.host("server").addresses[host], 53
    server = udp(network, "server", family)
    await server.bind(address)
    client = udp(network, "client", family)
    await client.sendto(bytes(largest), address)
    assert len(await server.recv(100_000)) == largest
    with fails_with(errno.EMSGSIZE):
        await client.sendto(bytes(largest + 1), address)


async def test_reuse_port_when_several_share_it_then_each_client_has_one_of_them(
    network: Network, autojump_clock: MockClock
) -> None:
    """Always the same, so that a server may keep what it knows of a client; and all of them have some."""
    servers = [udp(network, "server") for _ in range(4)]
    for server in servers:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        await server.bind(("0.0.0.0", 53))
    address = network.host("server").addresses[0], 53
    clients = [udp(network, "client") for _ in range(30)]
    for _ in range(3):
        for number, client in enumerate(clients):
            await client.sendto(b"%d" % number, address)
    await trio.sleep(1)
    found = []
    for server in servers:
        got = []
        while server.is_readable():
            got.append(int(await server.recv(10)))
        found.append(got)
    assert all(found)
    assert sorted(number for got in found for number in dict.fromkeys(got)) == list(range(30))


async def test_crash_when_restarted_then_the_port_is_free(
    network: Network, autojump_clock: MockClock
) -> None:
    """And the old socket is closed."""
    server, address = await bound(network, "server")
    network.host("server").crash()
    network.host("server").restart()
    with fails_with(errno.EBADF):
        await server.recvfrom(10)
    again, _ = await bound(network, "server")
    await udp(network, "client").sendto(b"hello", address)
    assert await again.recv(10) == b"hello"
