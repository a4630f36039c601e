"""How simulated TCP connections end: FIN and RST, and who is told what."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import pytest
import trio

from trioserver.testing import Network

from .sockets_kit import (
    address,
    drop,
    fails_with,
    listen,
    pair,
    receive_all,
    reset_on_close,
    seen,
    send_all,
    tcp,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from trioserver.testing import Packet


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    """A network with 10 ms from host to host."""
    with Network(1, latency=0.01) as network:
        yield network


async def test_close_when_data_is_under_way_then_it_still_arrives(
    network: Network, autojump_clock: MockClock
) -> None:
    """As much as the buffer has, whatever is lost on the way."""
    client, server = await pair(network)
    with network.rule(drop("DATA", "FIN", times=20)):
        sent = await client.send(bytes(100_000))
        client.close()
        assert len(await receive_all(server)) == sent


async def test_close_when_something_is_unread_then_the_peer_is_reset(
    network: Network, autojump_clock: MockClock
) -> None:
    """RFC 2525 section 2.17: so that it knows that not all has been read."""
    client, server = await pair(network)
    await client.send(b"unread")
    await trio.sleep(0.1)
    server.close()
    with fails_with(errno.ECONNRESET):
        await client.recv(10)
    assert network.connections == []


async def test_data_when_the_peer_has_closed_then_it_is_answered_by_a_reset(
    network: Network, autojump_clock: MockClock
) -> None:
    """The first send goes well, as nobody knows yet; after it the error is EPIPE, since a FIN came before."""
    client, server = await pair(network)
    server.close()
    assert await client.recv(10) == b""
    assert await client.send(b"one") == 3
    await trio.sleep(0.1)
    with fails_with(errno.EPIPE):
        await client.send(b"two")


async def test_reset_when_lost_then_the_peer_learns_of_it_by_sending(
    network: Network, autojump_clock: MockClock
) -> None:
    """Nobody sends a RST again; whatever comes is answered by another."""
    client, server = await pair(network)
    reset_on_close(server)
    with network.rule(drop("RST")):
        server.close()
        await trio.sleep(100)
    assert await client.send(b"hello") == 5
    with fails_with(errno.ECONNRESET):
        await client.recv(10)


async def test_connection_when_reset_by_the_network_then_both_ends_know(
    network: Network, autojump_clock: MockClock
) -> None:
    """Those who wait, and those who come later; what had arrived can be read."""
    client, server = await pair(network)
    await client.send(b"hello")
    await trio.sleep(0.1)
    (connection,) = network.connections
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def wait() -> None:
            with fails_with(errno.ECONNRESET):
                await client.recv(10)

        await trio.testing.wait_all_tasks_blocked()
        connection.reset()
    assert await server.recv(10) == b"hello"
    with fails_with(errno.ECONNRESET):
        await server.recv(10)
    assert network.connections == []


async def test_half_close_when_the_peer_never_closes_then_a_closed_connection_is_given_up(
    network: Network, autojump_clock: MockClock
) -> None:
    """tcp_fin_timeout: 60 s. What comes after that is answered by a RST."""
    client, server = await pair(network)
    client.close()
    await trio.sleep(61)
    packets: list[Packet] = []
    with network.rule(seen(packets)):
        await server.send(b"late")
        await trio.sleep(1)
    assert [packet.kind for packet in packets] == ["DATA", "RST"]


async def test_listener_when_closed_then_who_waits_to_be_accepted_is_reset(
    network: Network, autojump_clock: MockClock
) -> None:
    """And who comes later is refused."""
    listener = await listen(network)
    client = tcp(network)
    await client.connect(address(network))
    await trio.sleep(0.1)
    listener.close()
    with fails_with(errno.ECONNRESET):
        await client.recv(1)
    with fails_with(errno.ECONNREFUSED):
        await tcp(network).connect(address(network))


async def test_shutdown_when_both_ends_do_then_the_connection_is_over(
    network: Network, autojump_clock: MockClock
) -> None:
    """Though neither was closed: it has no peer any more, and is not listed."""
    client, server = await pair(network)
    await send_all(client, b"hello")
    client.shutdown(socket.SHUT_WR)
    assert await receive_all(server) == b"hello"
    server.shutdown(socket.SHUT_WR)
    assert await receive_all(client) == b""
    await trio.sleep(1)
    assert network.connections == []
    with fails_with(errno.ENOTCONN):
        client.getpeername()


async def test_fin_when_it_overtakes_the_last_data_then_both_ends_are_done_with_it_all_the_same(
    network: Network, autojump_clock: MockClock
) -> None:
    """It waits for what is missing, and that may come after the other end has closed, too."""
    client, server = await pair(network)
    server.shutdown(socket.SHUT_WR)
    await trio.sleep(1)
    with network.rule(drop("DATA", times=1)):
        await client.send(b"last words")
        client.shutdown(socket.SHUT_WR)
        assert await receive_all(server) == b"last words"
    await trio.sleep(1)
    assert network.connections == []


async def test_close_when_data_that_was_read_comes_again_then_the_answer_still_arrives(
    network: Network, autojump_clock: MockClock
) -> None:
    """Linux resets for data that is new alone: a lost acknowledgement must not break a connection."""
    client, server = await pair(network)
    with network.rule(drop("ACK", times=1)):
        await client.send(b"request")
        assert await server.recv(100) == b"request"
        network.partition("server", "client", one_way=True)
        await server.send(b"answer")
        server.close()
        await trio.sleep(0.3)  # meanwhile the request is sent again
        network.repair()
        assert await receive_all(client) == b"answer"


async def test_reset_when_the_server_has_not_heard_of_the_connection_yet_then_it_never_does(
    network: Network, autojump_clock: MockClock
) -> None:
    """It would wait for ever for a client that is gone."""
    listener = await listen(network)
    client = tcp(network)
    await client.connect(address(network))
    network.connections[0].reset()
    assert network.connections == []
    with fails_with(errno.ECONNRESET):
        await client.recv(1)
    with trio.move_on_after(60) as scope:
        await listener.accept()
    assert scope.cancelled_caught
    listener.close()
