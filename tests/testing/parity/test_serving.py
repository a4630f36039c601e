"""Whole servers and clients of trio: serve_tcp, serve_listeners, TLS."""

from __future__ import annotations

import functools
import ssl
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trustme

from .worlds import LOCALHOST, World, parity

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A client's and a server's."""
    authority = trustme.CA()
    client = ssl.create_default_context()
    authority.configure_trust(client)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    return client, server


async def echo(stream: trio.abc.Stream) -> None:
    """Send everything back."""
    async with stream:
        async for chunk in stream:
            await stream.send_all(chunk)


async def receive_exactly(stream: trio.abc.ReceiveStream, count: int) -> bytes:
    """So many bytes."""
    data = b""
    while len(data) < count:
        chunk = await stream.receive_some(count - len(data))
        assert chunk, f"the stream ended after {data!r}"
        data += chunk
    return data


async def serve(nursery: trio.Nursery, handler: Callable[[Any], Awaitable[object]] = echo) -> int:
    """Start a server; its port."""
    listeners = await nursery.start(functools.partial(trio.serve_tcp, handler, 0, host=LOCALHOST))
    port: int = listeners[0].socket.getsockname()[1]
    return port


@parity
async def test_serve_tcp_when_many_clients_come_then_each_is_served(world: World) -> None:
    """At the same time."""
    async with trio.open_nursery() as nursery:
        port = await serve(nursery)
        streams = [await trio.open_tcp_stream(LOCALHOST, port) for _ in range(10)]
        for number, stream in enumerate(streams):
            await stream.send_all(b"number %d" % number)
        for number, stream in enumerate(streams):
            assert await receive_exactly(stream, 8) == b"number %d" % number
            await stream.send_eof()
            assert await stream.receive_some() == b""
            await stream.aclose()
        nursery.cancel_scope.cancel()


@parity
async def test_serve_tcp_when_cancelled_then_clients_see_the_end_and_new_ones_are_refused(
    world: World,
) -> None:
    """Nothing of it goes on."""
    async with trio.open_nursery() as nursery:
        port = await serve(nursery)
        stream = await trio.open_tcp_stream(LOCALHOST, port)
        await stream.send_all(b"x")
        assert await receive_exactly(stream, 1) == b"x"
        nursery.cancel_scope.cancel()
    assert await stream.receive_some() == b""
    await stream.aclose()
    with pytest.raises(OSError, match="all attempts"):
        await trio.open_tcp_stream(LOCALHOST, port)


@parity
async def test_serve_tcp_when_a_client_pipelines_then_everything_comes_back(world: World) -> None:
    """A lot, sent while it is received."""
    data = bytes(number % 249 for number in range(400_000))
    async with trio.open_nursery() as nursery:
        port = await serve(nursery)
        async with await trio.open_tcp_stream(LOCALHOST, port) as stream:
            nursery.start_soon(stream.send_all, data)
            assert await receive_exactly(stream, len(data)) == data
        nursery.cancel_scope.cancel()


@parity
async def test_serve_tcp_when_a_handler_fails_then_the_error_comes_out(world: World) -> None:
    """The client's connection is closed first."""

    async def fail(stream: trio.SocketStream) -> None:
        await stream.receive_some(1)
        raise KeyError("handler")

    with pytest.RaisesGroup(KeyError, flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            port = await serve(nursery, fail)
            async with await trio.open_tcp_stream(LOCALHOST, port) as stream:
                await stream.send_all(b"x")
                assert await stream.receive_some() == b""


@parity
async def test_tls_when_both_ends_have_certificates_in_order_then_it_echoes(
    world: World, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """And ends with a proper closing of both."""
    client_context, server_context = contexts

    async def handle(stream: trio.SocketStream) -> None:
        await echo(trio.SSLStream(stream, server_context, server_side=True))

    data = bytes(number % 247 for number in range(100_000))
    async with trio.open_nursery() as nursery:
        port = await serve(nursery, handle)
        stream = await trio.open_ssl_over_tcp_stream("localhost", port, ssl_context=client_context)
        async with stream:
            nursery.start_soon(stream.send_all, data)
            assert await receive_exactly(stream, len(data)) == data
        nursery.cancel_scope.cancel()


@parity
async def test_tls_when_the_client_does_not_trust_the_server_then_both_fail(
    world: World, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """The alert goes over the wire."""
    _, server_context = contexts
    failures = []

    async def handle(stream: trio.SocketStream) -> None:
        try:
            await trio.SSLStream(stream, server_context, server_side=True).do_handshake()
        except trio.BrokenResourceError as error:
            failures.append(error)
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        port = await serve(nursery, handle)
        stream = await trio.open_ssl_over_tcp_stream("localhost", port)
        with pytest.raises(trio.BrokenResourceError) as caught:
            await stream.send_all(b"x")
        assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
        await trio.aclose_forcefully(stream)
        await world.settle(lambda: failures)
        nursery.cancel_scope.cancel()
    assert isinstance(failures[0].__cause__, ssl.SSLError)


@parity
async def test_tls_when_the_connection_is_cut_then_broken_resource_error(
    world: World, contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """An end without a goodbye could be an attack."""
    client_context, server_context = contexts

    async def handle(stream: trio.SocketStream) -> None:
        await trio.SSLStream(stream, server_context, server_side=True).do_handshake()
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        port = await serve(nursery, handle)
        stream = await trio.open_ssl_over_tcp_stream("localhost", port, ssl_context=client_context)
        await stream.do_handshake()
        with pytest.raises(trio.BrokenResourceError):
            await stream.receive_some()
        await trio.aclose_forcefully(stream)
        nursery.cancel_scope.cancel()
