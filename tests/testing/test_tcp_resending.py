"""What simulated TCP does about packets that are lost, doubled, late or held."""

from __future__ import annotations

import errno
import random
from typing import TYPE_CHECKING

import pytest
import trio

from trioserver.testing import Network

from .sockets_kit import drop, fails_with, pair, receive_all, receive_exactly, seen, send_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from trioserver.testing import Packet


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    """A network with 10 ms from host to host."""
    with Network(1, latency=0.01) as network:
        yield network


async def test_data_when_lost_then_sent_again_after_the_timeout(
    network: Network, autojump_clock: MockClock
) -> None:
    """200 ms, and the round trip of 20 ms: what RFC 6298 makes of it with Linux's least variation."""
    client, server = await pair(network)
    begin = trio.current_time()
    with network.rule(drop("DATA", times=1)):
        await client.send(b"hello")
        assert await server.recv(10) == b"hello"
    assert trio.current_time() - begin == pytest.approx(0.01 + 0.22, abs=0.01)


async def test_data_when_lost_again_and_again_then_the_timeout_doubles(
    network: Network, autojump_clock: MockClock
) -> None:
    """Four losses: 1 + 2 + 4 + 8 times 220 ms."""
    client, server = await pair(network)
    begin = trio.current_time()
    with network.rule(drop("DATA", times=4)):
        await client.send(b"hello")
        assert await server.recv(10) == b"hello"
    assert trio.current_time() - begin == pytest.approx(0.01 + 15 * 0.22, abs=0.1)


async def test_data_when_lost_and_more_arrives_then_sent_again_at_once(
    network: Network, autojump_clock: MockClock
) -> None:
    """The acknowledgement of what came later tells of the gap: a round trip, and no timeout."""
    client, server = await pair(network)
    begin = trio.current_time()
    data = bytes(range(256)) * 40
    with network.rule(drop("DATA", times=1)):
        await client.send(data)
        assert await receive_exactly(server, len(data)) == data
    assert trio.current_time() - begin == pytest.approx(0.03)


async def test_fin_when_lost_then_sent_again(network: Network, autojump_clock: MockClock) -> None:
    """The peer sees the end of the stream, late."""
    client, server = await pair(network)
    begin = trio.current_time()
    with network.rule(drop("FIN", times=1)):
        client.close()
        assert await server.recv(10) == b""
    assert trio.current_time() - begin == pytest.approx(0.23, abs=0.01)


async def test_acknowledgement_when_lost_then_the_data_comes_twice_and_counts_once(
    network: Network, autojump_clock: MockClock
) -> None:
    """The sender can not know; the receiver does."""
    client, server = await pair(network)
    packets: list[Packet] = []
    with network.rule(seen(packets)), network.rule(drop("ACK", times=1)):
        await client.send(b"hello")
        await trio.sleep(1)
    assert [packet.kind for packet in packets] == ["DATA", "ACK", "DATA", "ACK"]
    client.close()
    assert await receive_all(server) == b"hello"


async def test_send_when_nothing_is_acknowledged_then_etimedout_after_15_tries(
    network: Network, autojump_clock: MockClock
) -> None:
    """A quarter of an hour, see tcp(7); the error is raised once, then the stream is over."""
    client, _ = await pair(network)
    begin = trio.current_time()
    packets: list[Packet] = []
    network.partition("client", "server")
    with network.rule(seen(packets)):
        await client.send(b"hello")
        with fails_with(errno.ETIMEDOUT):
            await client.recv(10)
    assert len(packets) == 16
    assert trio.current_time() - begin == pytest.approx(
        1023 * 0.22 + 6 * 120
    )  # none is longer than 2 minutes
    assert await client.recv(10) == b""
    with fails_with(errno.EPIPE):
        await client.send(b"more")


async def test_send_when_only_the_way_back_is_cut_then_etimedout_all_the_same(
    network: Network, autojump_clock: MockClock
) -> None:
    """The data has arrived, and nobody knows: acknowledgements are packets like any others."""
    client, server = await pair(network)
    network.partition("server", "client", one_way=True)
    await client.send(b"hello")
    assert await server.recv(10) == b"hello"
    with fails_with(errno.ETIMEDOUT):
        await client.recv(10)


async def test_partition_when_repaired_then_the_stream_goes_on(
    network: Network, autojump_clock: MockClock
) -> None:
    """With all that was sent meanwhile, in order, when the timeout that runs is over."""
    client, server = await pair(network)
    network.partition("client", "server")
    for number in range(10):
        await client.send(b"%d" % number)
        await trio.sleep(1)
    network.repair()
    assert await receive_exactly(server, 10) == b"0123456789"
    assert trio.current_time() < 20


async def test_held_packets_when_released_then_nothing_is_received_twice(
    network: Network, autojump_clock: MockClock
) -> None:
    """They were sent again in the meantime."""
    client, server = await pair(network)
    network.hold("client", "server")
    await client.send(b"hello")
    await trio.sleep(5)
    network.release("client", "server")
    client.close()
    assert await receive_all(server) == b"hello"


@pytest.mark.parametrize("seed", range(20))
async def test_stream_when_the_network_does_its_worst_then_all_arrives_in_order(
    seed: int, autojump_clock: MockClock
) -> None:
    """Loss, duplication, reordering, latency from 0 to 100 ms, in both directions at once."""
    with Network(
        seed,
        loss=0.1,
        duplication=0.1,
        reordering=0.2,
        latency=lambda random: random.uniform(0, 0.1),
        bandwidth=1e6,
    ) as network:
        client, server = await pair(network)
        there, back = (random.Random(seed + offset).randbytes(200_000) for offset in (0, 1))

        async def send(sock: trio.socket.SocketType, data: bytes) -> None:
            await send_all(sock, data)
            sock.shutdown(trio.socket.SHUT_WR)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send, client, there)
            nursery.start_soon(send, server, back)
            assert await receive_all(server) == there
            assert await receive_all(client) == back
