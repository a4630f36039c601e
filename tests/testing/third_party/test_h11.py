"""h11 at both ends, over a network that cuts the stream wherever it likes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver
from trioserver.testing import Network

from .http_server import BIG, HTTP, h11, next_event

if TYPE_CHECKING:
    from trio.testing import MockClock


async def ask(
    connection: Any, stream: trio.abc.Stream, method: str, target: str, body: bytes = b""
) -> tuple[int, bytes]:
    """One request and its answer, on a connection that is kept."""
    headers = [("Host", "server"), ("Content-Length", str(len(body)))]
    await stream.send_all(connection.send(h11.Request(method=method, target=target, headers=headers)))
    await stream.send_all(connection.send(h11.Data(data=body)) + connection.send(h11.EndOfMessage()))
    answer = await next_event(connection, stream)
    assert type(answer) is h11.Response
    received = b""
    while type(event := await next_event(connection, stream)) is h11.Data:
        received += event.data
    connection.start_next_cycle()
    return answer.status_code, received


@pytest.mark.parametrize("seed", range(5))
async def test_h11_when_segments_are_cut_and_lost_then_requests_are_answered_on_one_connection(
    seed: int, autojump_clock: MockClock
) -> None:
    """A client and a server, three requests on a connection that is kept: small, sent in pieces, and big."""
    with Network(seed, loss=0.05, reordering=0.1, duplication=0.1) as network:
        async with trio.open_nursery() as nursery:
            with network.host("server"):
                server = trioserver.TCPServer(("", 80), HTTP)
                await nursery.start(server.serve_forever)
            with network.host("client"):
                async with await trio.open_tcp_stream("server", 80) as stream:
                    connection = h11.Connection(h11.CLIENT)
                    assert await ask(connection, stream, "GET", "/hello") == (200, b"/hello")
                    assert await ask(connection, stream, "POST", "/", BIG) == (200, BIG)
                    assert await ask(connection, stream, "GET", "/big") == (200, BIG)
            report = await server.shutdown(grace_period=10)
    assert (report.accepted, report.finished) == (1, 1)


async def test_h11_when_the_network_is_cut_in_a_request_then_it_is_answered_after_the_repair(
    autojump_clock: MockClock,
) -> None:
    """TCP sends again: the client notices nothing but the time that it took."""
    with Network(1) as network:
        async with trio.open_nursery() as nursery:
            with network.host("server"):
                server = trioserver.TCPServer(("", 80), HTTP)
                await nursery.start(server.serve_forever)
            with network.host("client"):
                async with await trio.open_tcp_stream("server", 80) as stream:
                    connection = h11.Connection(h11.CLIENT)
                    await ask(connection, stream, "GET", "/before")
                    network.partition("client", "server")
                    nursery.start_soon(repair_after, network, 10)
                    began = trio.current_time()
                    assert await ask(connection, stream, "GET", "/meanwhile") == (200, b"/meanwhile")
                    assert 10 < trio.current_time() - began < 30
            nursery.cancel_scope.cancel()


async def repair_after(network: Network, seconds: float) -> None:
    """End all partitions after a while."""
    await trio.sleep(seconds)
    network.repair()
