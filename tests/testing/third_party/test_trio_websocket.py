"""trio-websocket at both ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from trioserver.testing import Network

from .http_server import contexts

if TYPE_CHECKING:
    from trio.testing import MockClock

trio_websocket = pytest.importorskip("trio_websocket", reason="pip install trio-websocket")


async def echo(request: Any) -> None:
    """Sends each message back until the other side closes, and leaves in its own way at one of them."""
    socket = await request.accept()
    while True:
        try:
            message = await socket.get_message()
        except trio_websocket.ConnectionClosed:
            return
        if message == "leave":
            await socket.aclose(code=4000, reason="as it was asked to")
            return
        await socket.send_message(message)


@pytest.mark.parametrize("seed", range(5))
async def test_websocket_when_segments_are_cut_and_lost_then_messages_arrive_whole(
    seed: int, autojump_clock: MockClock
) -> None:
    """Text, bytes of many segments, and a ping; then the closing handshake."""
    big = bytes(range(256)) * 500
    with Network(seed, loss=0.05, reordering=0.1) as network:
        async with trio.open_nursery() as nursery:
            with network.host("server"):
                await nursery.start(trio_websocket.serve_websocket, echo, None, 80, None)
            with network.host("client"):
                async with trio_websocket.open_websocket("server", 80, "/", use_ssl=False) as socket:
                    for message in ("hello", big, ""):
                        await socket.send_message(message)
                        assert await socket.get_message() == message
                    await socket.ping(b"here?")
                    await socket.aclose()
                    assert socket.closed.code == 1000
            nursery.cancel_scope.cancel()


async def test_websocket_when_the_server_closes_then_the_client_is_told_why(
    autojump_clock: MockClock,
) -> None:
    """The closing handshake from the other side, over TLS."""
    for_server, for_client = contexts("server")
    with Network(6) as network:
        async with trio.open_nursery() as nursery:
            with network.host("server"):
                await nursery.start(trio_websocket.serve_websocket, echo, None, 443, for_server)
            with network.host("client"):
                socket = await trio_websocket.connect_websocket(
                    nursery, "server", 443, "/", use_ssl=for_client
                )
                await socket.send_message("leave")
                with pytest.raises(trio_websocket.ConnectionClosed):
                    await socket.get_message()
                assert (socket.closed.code, socket.closed.reason) == (4000, "as it was asked to")
            nursery.cancel_scope.cancel()


async def test_websocket_when_the_network_is_cut_then_messages_come_after_the_repair(
    autojump_clock: MockClock,
) -> None:
    """A partition of half a minute is a delay and no more."""
    with Network(7) as network:
        async with trio.open_nursery() as nursery:
            with network.host("server"):
                await nursery.start(trio_websocket.serve_websocket, echo, None, 80, None)
            with network.host("client"):
                async with trio_websocket.open_websocket("server", 80, "/", use_ssl=False) as socket:
                    network.partition("client", "server")
                    began = trio.current_time()
                    await socket.send_message("are you there?")
                    with trio.move_on_after(30) as scope:
                        await socket.get_message()
                    assert scope.cancelled_caught
                    network.repair("client", "server")
                    assert await socket.get_message() == "are you there?"
                    assert 30 < trio.current_time() - began < 100
            nursery.cancel_scope.cancel()


async def test_websocket_when_the_network_stays_cut_then_closing_gives_up_after_its_timeout(
    autojump_clock: MockClock,
) -> None:
    """The closing handshake waits for an answer that can not come, for as long as it was told."""
    with Network(8) as network:
        async with trio.open_nursery() as nursery:
            with network.host("server"):
                await nursery.start(trio_websocket.serve_websocket, echo, None, 80, None)
            with network.host("client"):
                began = trio.current_time()
                with pytest.raises(trio_websocket.DisconnectionTimeout):
                    async with trio_websocket.open_websocket(
                        "server", 80, "/", use_ssl=False, disconnect_timeout=7
                    ):
                        network.partition("client", "server")
                assert trio.current_time() - began == pytest.approx(7, abs=0.1)
            nursery.cancel_scope.cancel()


async def test_websocket_when_the_server_crashes_then_the_client_learns_it_from_its_next_message(
    autojump_clock: MockClock,
) -> None:
    """A host that came up again knows of no connection, and says so by a reset."""
    with Network(9) as network:
        async with trio.open_nursery() as nursery:
            server = network.host("server")
            await nursery.start(server.run, trio_websocket.serve_websocket, echo, None, 80, None)
            with network.host("client"):
                async with trio_websocket.open_websocket("server", 80, "/", use_ssl=False) as socket:
                    server.restart()
                    await socket.send_message("do you remember me?")
                    with pytest.raises(trio_websocket.ConnectionClosed):
                        await socket.get_message()
                async with trio_websocket.open_websocket("server", 80, "/", use_ssl=False) as socket:
                    await socket.send_message("hello")
                    assert await socket.get_message() == "hello"
            nursery.cancel_scope.cancel()
