"""anyio on trio as a client. Its listeners are made of the kernel's sockets, which no network can change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from trioserver.testing import Drop, Network, Packet, Pass, Verdict

from .http_server import contexts

if TYPE_CHECKING:
    from trio.testing import MockClock

anyio = pytest.importorskip("anyio", reason="anyio is not installed: pip install anyio")


async def upper(stream: Any) -> None:
    """Sends back what it gets, in capitals."""
    async for data in stream:
        await stream.send_all(data.upper())


async def start_server(network: Network, nursery: trio.Nursery, port: int, context: Any = None) -> None:
    """A server on the host ``server``."""
    with network.host("server"):
        if context is None:
            await nursery.start(trio.serve_tcp, upper, port)
        else:
            await nursery.start(trio.serve_ssl_over_tcp, upper, port, context)


async def test_anyio_when_it_connects_then_streams_carry_bytes_and_their_ends(
    autojump_clock: MockClock,
) -> None:
    """Sending, receiving, half-closing, addresses."""
    with Network(1) as network:
        async with trio.open_nursery() as nursery:
            await start_server(network, nursery, 7)
            with network.host("client"):
                async with await anyio.connect_tcp("server", 7) as stream:
                    await stream.send(b"hello")
                    assert await stream.receive(3) == b"HEL"
                    assert await stream.receive(3) == b"LO"
                    assert stream.extra(anyio.abc.SocketAttribute.remote_port) == 7
                    await stream.send_eof()
                    with pytest.raises(anyio.EndOfStream):
                        await stream.receive()
            nursery.cancel_scope.cancel()


async def test_anyio_when_it_speaks_tls_then_the_name_of_the_host_is_checked(
    autojump_clock: MockClock,
) -> None:
    """``connect_tcp`` with a context: for the name it was given, and for another one."""
    for_server, for_client = contexts("server")
    with Network(2, loss=0.05) as network:
        async with trio.open_nursery() as nursery:
            await start_server(network, nursery, 443, for_server)
            with network.host("client"):
                async with await anyio.connect_tcp(
                    "server", 443, ssl_context=for_client, tls_standard_compatible=False
                ) as stream:
                    await stream.send(b"hello")
                    assert await stream.receive() == b"HELLO"
            nursery.cancel_scope.cancel()


async def test_anyio_when_an_address_does_not_answer_then_the_other_is_tried_soon(
    autojump_clock: MockClock,
) -> None:
    """Happy eyeballs (RFC 8305): IPv6 is tried first, and IPv4 a quarter of a second later."""

    def no_ipv6(packet: Packet) -> Verdict:
        return Drop if ":" in packet.destination[0] else Pass

    with Network(3) as network:
        async with trio.open_nursery() as nursery:
            await start_server(network, nursery, 7)
            with network.host("client"), network.rule(no_ipv6):
                began = trio.current_time()
                async with await anyio.connect_tcp("server", 7) as stream:
                    assert trio.current_time() - began == pytest.approx(0.252, abs=0.01)
                    await stream.send(b"hello")
                    assert await stream.receive() == b"HELLO"
            nursery.cancel_scope.cancel()


async def test_anyio_when_it_can_not_connect_then_it_raises_what_it_says(autojump_clock: MockClock) -> None:
    """Nobody listens; the connection breaks."""
    with Network(4) as network:
        async with trio.open_nursery() as nursery:
            await start_server(network, nursery, 7)
            with network.host("client"):
                with pytest.raises(OSError, match="All connection attempts failed"):
                    await anyio.connect_tcp("server", 8)
                async with await anyio.connect_tcp("server", 7) as stream:
                    (connection,) = network.connections
                    connection.reset()
                    with pytest.raises(anyio.BrokenResourceError):
                        await stream.receive()
            nursery.cancel_scope.cancel()


async def test_anyio_when_it_listens_then_only_the_kernel_hears(autojump_clock: MockClock) -> None:
    """``create_tcp_listener`` calls ``socket.socket``: what it makes is not on the network."""
    with Network(5) as network:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        try:
            port = listener.extra(anyio.abc.SocketAttribute.local_port)
            with pytest.raises(OSError, match="All connection attempts failed"):
                await anyio.connect_tcp("127.0.0.1", port)
            assert all(not host.sockets for host in network.hosts.values())
        finally:
            await listener.aclose()
