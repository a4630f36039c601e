"""httpx, and below it httpcore, as clients of h11 in a handler of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

import trioserver
from trioserver.testing import Network

from .http_server import BIG, HTTP, contexts

if TYPE_CHECKING:
    from trio.testing import MockClock

httpx = pytest.importorskip("httpx", reason="httpx is not installed: pip install httpx")


async def test_httpx_when_it_asks_twice_then_it_keeps_the_connection(autojump_clock: MockClock) -> None:
    """Two requests over plain TCP; the server has seen one connection."""
    with Network(2) as network:
        async with trio.open_nursery() as nursery:
            with network.host("server"):
                server = trioserver.TCPServer(("", 80), HTTP)
                await nursery.start(server.serve_forever)
            with network.host("client"):
                async with httpx.AsyncClient(trust_env=False) as client:
                    assert (await client.get("http://server/hello")).text == "/hello"
                    assert (await client.post("http://server/", content=BIG)).content == BIG
            report = await server.shutdown(grace_period=10)
    assert (report.accepted, report.finished) == (1, 1)


async def test_httpx_when_it_asks_over_tls_then_it_is_answered(autojump_clock: MockClock) -> None:
    """``https`` with a certificate for the name of the host."""
    for_server, for_client = contexts("server")
    with Network(3) as network:
        async with trio.open_nursery() as nursery:
            with network.host("server"):
                server = trioserver.TCPServer(("", 443), HTTP, ssl_context=for_server)
                await nursery.start(server.serve_forever)
            with network.host("client"):
                async with httpx.AsyncClient(trust_env=False, verify=for_client) as client:
                    assert (await client.get("https://server/big")).content == BIG
            nursery.cancel_scope.cancel()


async def test_httpx_when_things_fail_then_it_raises_what_it_says(autojump_clock: MockClock) -> None:
    """No such host, nobody there, a server that does not answer, and one that goes away while it does."""
    with Network(4) as network:
        async with trio.open_nursery() as nursery:
            with network.host("server"):
                await nursery.start(trioserver.TCPServer(("", 80), HTTP).serve_forever)
            with network.host("client"):
                async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
                    with pytest.raises(httpx.ConnectError):
                        await client.get("http://nowhere/")
                    with pytest.raises(httpx.ConnectError):
                        await client.get("http://server:81/")
                    with pytest.raises(httpx.ReadTimeout):
                        await client.get("http://server/slow")
                    nursery.start_soon(reset_after, network, 2)
                    with pytest.raises(httpx.ReadError):
                        await client.get("http://server/slow")
                    network.partition("client", "server")
                    with pytest.raises(httpx.ConnectTimeout):
                        await client.get("http://server/")
            nursery.cancel_scope.cancel()


async def reset_after(network: Network, seconds: float) -> None:
    """Reset all connections after a while."""
    await trio.sleep(seconds)
    for connection in network.connections:
        connection.reset()
