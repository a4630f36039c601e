"""A burst from one peer, longer than its queue."""

from __future__ import annotations

from typing import Any

import pytest

import trioserver

from .kit import memory_network, settle


@pytest.mark.parametrize("replies", [False, True])
@pytest.mark.parametrize("count", [80, 1000])
async def test_a_burst_is_not_dropped_where_the_handler_only_had_no_turn(count: int, replies: bool) -> None:
    """What the kernel has room for stays there until a handler that does not wait for anything has read."""
    got: list[bytes] = []

    async def handler(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
        async for data in session:
            got.append(data)
            if replies:
                await session.send(data)

    sent = [b"%d" % n for n in range(count)]
    with memory_network() as network:
        async with trioserver.UDPSessionServer(("127.0.0.1", 9), handler).running() as server:
            network.endpoint.feed(*sent)
            await settle()
            assert got == sent
            assert server.datagrams_lost.full_queues == 0
