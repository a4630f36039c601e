"""What a handler that is called in place raises or returns is not mistaken for what the socket says."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from harness import Recorder

import trioserver

from .kit import memory_network, settle


def full_channel(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
    """A handler whose own channel is full."""
    server.channel.send_nowait(request.data)


def generator(request: trioserver.Datagram, client_address: Any, server: Any) -> Any:
    """A handler that forgot what it is."""
    yield


async def async_generator(request: trioserver.Datagram, client_address: Any, server: Any) -> Any:
    """The same."""
    yield


@pytest.mark.parametrize(
    "handler", [full_channel, lambda *args: generator(*args), lambda *args: async_generator(*args)]
)
async def test_an_error_of_the_handlers_own_goes_to_handle_error(handler: Any) -> None:
    """P4: a WouldBlock of an application's channel is no reply that was lost."""
    handled: list[BaseException | None] = []

    class Server(trioserver.UDPServer):
        channel = trio.open_memory_channel[bytes](0)[0]

        async def handle_error(self, request: Any, client_address: Any) -> None:
            import sys

            handled.append(sys.exception())

    with memory_network() as network:
        async with Server(("127.0.0.1", 9), handler).running() as server:
            network.endpoint.feed(b"x")
            await settle()
            assert len(handled) == 1
            assert server.statistics().failed == 1
            assert server.datagrams_lost.replies == 0


async def test_p3_when_an_observer_stops_the_server_then_the_request_that_it_was_told_of_is_counted() -> None:
    """It was accepted, though nobody handles it any more."""
    handled: list[bytes] = []
    recorder = Recorder()

    def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        handled.append(request.data)

    def observer(event: trioserver.ServerEvent) -> None:
        if isinstance(event, trioserver.RequestAccepted) and event.request_id == 2:
            raise SystemExit(5)

    with memory_network() as network:
        server = trioserver.UDPServer(("127.0.0.1", 9), handler)
        server.add_observer(recorder)
        server.add_observer(observer)
        with pytest.raises(SystemExit):
            async with server.running():
                network.endpoint.feed(b"1")
                network.endpoint.feed(b"2")
                await trio.sleep(5)
    numbers = server.statistics()
    assert handled == [b"1"]
    assert (numbers.accepted, numbers.finished, numbers.cancelled, numbers.active) == (2, 1, 1, 0)
    assert recorder.names().count("RequestEnded") == 2
