"""The window of a simulated TCP connection when it is closed, and what opens it is lost."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
import trio

from trioserver.testing import Drop, Network, Pass

from .sockets_kit import clog, drop, fails_with, pair, receive_exactly, seen

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

    from trioserver.testing import Packet


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    """A network with 10 ms from host to host."""
    with Network(1, latency=0.01) as network:
        yield network


async def test_window_when_its_opening_is_lost_then_the_sender_asks(
    network: Network, autojump_clock: MockClock
) -> None:
    """Or both would wait for ever: RFC 9293 section 3.8.6.1."""
    client, server = await pair(network)
    total = await clog(client)
    with network.rule(drop("ACK", times=1)):
        got = len(await server.recv(1_000_000))
        with trio.fail_after(60):
            got += len(await receive_exactly(server, total - got))
    assert got == total


async def test_window_when_closed_for_an_hour_then_the_connection_lives(
    network: Network, autojump_clock: MockClock
) -> None:
    """The receiver answers the sender's questions, which come every two minutes at last."""
    client, server = await pair(network)
    total = await clog(client)
    packets: list[Packet] = []
    with network.rule(seen(packets)):
        await trio.sleep(3600)
    assert 60 < len(packets) < 100
    assert len(await receive_exactly(server, total)) == total


async def test_window_when_closed_and_the_peer_is_gone_then_etimedout(
    network: Network, autojump_clock: MockClock
) -> None:
    """Questions that nobody answers are counted as data is."""
    client, _ = await pair(network)
    await clog(client)
    network.partition("client", "server")
    with fails_with(errno.ETIMEDOUT):
        await client.recv(1)


async def test_window_when_it_opens_after_an_hour_and_data_is_lost_then_it_comes_again_at_once(
    network: Network, autojump_clock: MockClock
) -> None:
    """The two minutes between questions are not the timeout of what is sent in the end."""
    client, server = await pair(network)
    total = await clog(client)
    await trio.sleep(3600)
    begun = trio.current_time()
    with network.rule(
        lambda packet: Drop if packet.kind == "DATA" and trio.current_time() < begun + 0.1 else Pass
    ):
        await receive_exactly(server, total)
    assert trio.current_time() - begun < 1
