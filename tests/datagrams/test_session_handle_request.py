"""`handle_request()` of a session server: one session, all of it."""

from __future__ import annotations

from typing import Any

import trio

import trioserver

from .kit import CLIENT, OTHER, memory_network, settle


async def test_handle_request_when_the_peer_sends_on_then_its_session_gets_it() -> None:
    """The session is served to its end; another peer's datagram is dropped and counted meanwhile."""
    got: list[bytes] = []

    async def handler(session: trioserver.DatagramSession, client_address: Any, server: Any) -> None:
        async for data in session:
            got.append(data)
            if len(got) == 3:
                return

    with memory_network() as network:
        async with trioserver.UDPSessionServer(("127.0.0.1", 9), handler, session_timeout=None) as server:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.handle_request)
                for data, address in ((b"1", CLIENT), (b"2", CLIENT), (b"x", OTHER), (b"3", CLIENT)):
                    await settle()
                    network.endpoint.feed(data, address=address)
                await settle()
                nursery.cancel_scope.cancel()
            assert got == [b"1", b"2", b"3"]
            assert server.statistics().finished == 1
            assert server.datagrams_lost.refused_sessions == 1
