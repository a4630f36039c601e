"""The bytes of simulated TCP: segments, windows, buffers, slow readers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio

from trioserver.testing import Network, run

from .sockets_kit import clog, pair, receive_all, receive_exactly, seen, send_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from trioserver.testing import Packet


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    """A network with 10 ms from host to host."""
    with Network(1, latency=0.01) as network:
        yield network


async def program(network: Network, writes: list[bytes]) -> list[int]:
    """The sizes of the segments in which these writes arrive."""
    packets: list[Packet] = []
    with network.rule(seen(packets)):
        client, server = await pair(network)

        async def send() -> None:
            for data in writes:
                await send_all(client, data)
            client.close()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            assert await receive_all(server) == b"".join(writes)
        server.close()
    return [len(packet.data) for packet in packets if packet.kind == "DATA"]


def test_segments_when_much_is_sent_then_none_is_larger_than_the_mss() -> None:
    """Most are full; some are cut short."""
    found = run(program, [bytes(300_000)], seed=1).value
    assert max(found) == 1460
    assert found.count(1460) > len(found) * 0.8
    assert min(found) < 1000


def test_segments_when_the_seed_is_another_then_the_boundaries_are_others() -> None:
    """And with the same seed they are the same, where the order of tasks can be seeded."""
    writes = [bytes(100)] * 50
    found = [run(program, writes, seed=seed) for seed in (1, 1, 2, 3)]
    if found[0].task_order_seeded:
        assert str(found[0].log) == str(found[1].log)
    assert len({tuple(one.value) for one in found[1:]}) == 3


def test_segments_when_writes_are_short_then_some_are_split_and_some_merged() -> None:
    """No program may take a write of its peer's for what one receive gives it."""
    found = run(program, [bytes(100)] * 200, seed=1).value
    assert any(size < 100 for size in found)
    assert any(size > 100 for size in found)
    assert 100 in found


async def test_send_when_nobody_reads_then_both_buffers_fill_and_no_more(
    network: Network, autojump_clock: MockClock
) -> None:
    """64 KiB at each end; one that reads makes room."""
    client, server = await pair(network)
    total = await clog(client)
    assert 65536 * 5 / 3 <= total <= 65536 * 2  # Linux wakes a sender when a third of its buffer is free
    await receive_exactly(server, 65536)
    with trio.fail_after(1):
        assert await client.send(b"x") == 1


async def test_send_when_the_buffers_are_set_then_they_are_what_was_set(
    network: Network, autojump_clock: MockClock
) -> None:
    """SO_SNDBUF of the sender, SO_RCVBUF of the listener, from which connections have it."""
    with network.host("server"):
        listener: Any = trio.socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 5000)
    await listener.bind(("0.0.0.0", 80))
    listener.listen()
    with network.host("client"):
        client: Any = trio.socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 7000)
    await client.connect((network.host("server").addresses[0], 80))
    total = await clog(client)
    assert 5000 + 7000 * 2 / 3 <= total <= 12_000
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 14_000  # socket(7): it is doubled


async def test_send_when_less_than_the_low_water_mark_may_wait_then_no_more_does(
    network: Network, autojump_clock: MockClock
) -> None:
    """TCP_NOTSENT_LOWAT, which trio's streams set, bounds what is in no segment yet."""
    client, _ = await pair(network)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 4096)
    assert 65536 + 4096 <= await clog(client, 1000) < 65536 + 4096 + 1000


async def test_unsent_bytes_when_acknowledged_then_none(network: Network, autojump_clock: MockClock) -> None:
    """A round trip later; a FIN counts as one, as with SIOCOUTQ."""
    client, server = await pair(network)
    await client.send(b"hello")
    assert client.unsent_bytes() == 5
    await trio.sleep(0.015)
    assert client.unsent_bytes() == 5
    assert await server.recv(10) == b"hello"
    await trio.sleep(0.006)
    assert client.unsent_bytes() == 0
    client.shutdown(socket.SHUT_WR)
    assert client.unsent_bytes() == 1


async def test_read_rate_when_set_then_the_reader_takes_so_much_a_second(
    network: Network, autojump_clock: MockClock
) -> None:
    """And the sender waits for it, once the buffers are full."""
    client, server = await pair(network)
    network.host("server").read_rate = 10_000
    begin = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(send_all, client, bytes(300_000))
        await receive_exactly(server, 300_000)
    assert trio.current_time() - begin == pytest.approx(30, rel=0.05)


async def test_read_rate_when_lifted_then_all_is_read_at_once(
    network: Network, autojump_clock: MockClock
) -> None:
    """For the next read, at the latest."""
    client, server = await pair(network)
    network.host("server").read_rate = 1
    await send_all(client, bytes(1000))
    assert await server.recv(1000) == b"\0"
    network.host("server").read_rate = None
    begin = trio.current_time()
    await receive_exactly(server, 999)
    assert trio.current_time() - begin < 2


async def test_windows_when_the_reader_takes_little_at_a_time_then_few_packets_tell(
    network: Network, autojump_clock: MockClock
) -> None:
    """Not one for each read: RFC 9293 section 3.8.6.2.2."""
    client, server = await pair(network)
    await clog(client)
    packets: list[Packet] = []
    with network.rule(seen(packets)):
        for _ in range(4000):
            server.recv_nowait(10)
        await trio.sleep(1)
    assert 1 < sum(packet.kind == "ACK" and packet.source[1] == 80 for packet in packets) < 40


async def test_peek_when_there_is_data_then_it_stays(network: Network, autojump_clock: MockClock) -> None:
    """Also for one who reads slowly."""
    client, server = await pair(network)
    await client.send(b"hello")
    assert await server.recv(3, socket.MSG_PEEK) == b"hel"
    assert await server.recv(10) == b"hello"
