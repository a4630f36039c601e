"""How long a port is taken after a simulated TCP connection is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from trioserver.testing import Network

from .sockets_kit import (
    drop,
    listen,
    pair,
    seen,
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


async def test_time_wait_when_a_server_restarts_then_its_port_needs_reuse(
    network: Network, autojump_clock: MockClock
) -> None:
    """Who closes first keeps the port for 60 s."""
    client, server = await pair(network)
    server.close()
    assert await client.recv(1) == b""
    client.close()
    await trio.sleep(1)
    with pytest.raises(OSError, match="in use"):
        await listen(network)
    await trio.sleep(60)
    (await listen(network)).close()


async def test_time_wait_when_the_client_closed_first_then_the_server_has_its_port(
    network: Network, autojump_clock: MockClock
) -> None:
    """There is nothing to wait for at its end."""
    client, server = await pair(network)
    client.close()
    assert await server.recv(1) == b""
    server.close()
    await trio.sleep(1)
    (await listen(network)).close()


async def test_time_wait_when_the_last_acknowledgement_is_lost_then_it_is_sent_again(
    network: Network, autojump_clock: MockClock
) -> None:
    """That is what it is for: the peer ends in order, and no RST is sent."""
    client, server = await pair(network)
    client.close()
    assert await server.recv(1) == b""
    packets: list[Packet] = []
    with network.rule(seen(packets)):
        server.close()
        with network.rule(drop("ACK", times=1)):
            await trio.sleep(1)
    assert [packet.kind for packet in packets] == ["FIN", "ACK", "FIN", "ACK"]
    assert network.connections == []
