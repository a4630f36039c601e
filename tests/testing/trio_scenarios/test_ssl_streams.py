"""`trio.SSLStream` over the network: handshakes, data, and all the ways to end."""

from __future__ import annotations

import contextlib
import functools
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
import trustme

from trioserver.testing import Network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

NAME = "server.example"
Pair = tuple["trio.SSLStream[Any]", "trio.SSLStream[Any]"]


@functools.cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For a server, and for clients that trust it; not to be changed."""
    return new_contexts()


def new_contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The same, of an authority of their own."""
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert(NAME).configure_cert(server)
    authority.configure_trust(client)
    return server, client


@asynccontextmanager
async def plain_pair(network: Network) -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream]]:
    """Two connected streams, of the hosts ``client`` and ``server``."""
    with network.host("server"):
        (listener,) = await trio.open_tcp_listeners(443, host="0.0.0.0")
    with network.host("client"):
        near = await trio.open_tcp_stream("server", 443)
    async with listener:
        far = await listener.accept()
        try:
            yield near, far
        finally:
            await trio.aclose_forcefully(near)
            await trio.aclose_forcefully(far)


def wrap(near: trio.abc.Stream, far: trio.abc.Stream, *, https: bool = False, name: str = NAME) -> Pair:
    """TLS over a pair, no handshake made yet."""
    for_server, for_client = contexts()
    return (
        trio.SSLStream(near, for_client, server_hostname=name, https_compatible=https),
        trio.SSLStream(far, for_server, server_side=True, https_compatible=https),
    )


@asynccontextmanager
async def pair(network: Network, *, https: bool = False) -> AsyncIterator[Pair]:
    """Two TLS streams whose handshake is done."""
    async with plain_pair(network) as (near, far):
        client, server = wrap(near, far, https=https)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.do_handshake)
            nursery.start_soon(server.do_handshake)
        yield client, server


async def receive_all(stream: trio.abc.ReceiveStream) -> bytes:
    """Until the end."""
    return b"".join([bytes(chunk) async for chunk in stream])


@pytest.mark.parametrize("seed", range(3))
async def test_tls_when_the_network_is_bad_then_both_ways_carry_all_at_once(
    seed: int, autojump_clock: MockClock
) -> None:
    """200 kB each way at the same time, with loss, reordering and duplication below."""
    data = bytes(range(256)) * 800

    async def send(stream: trio.SSLStream[Any]) -> None:
        for at in range(0, len(data), 7777):
            await stream.send_all(data[at : at + 7777])

    async def receive(stream: trio.SSLStream[Any]) -> None:
        got = b""
        while len(got) < len(data):
            got += await stream.receive_some()
        assert got == data

    with Network(seed, loss=0.05, reordering=0.1, duplication=0.1) as network:
        async with pair(network) as streams:
            async with trio.open_nursery() as nursery:
                for stream in streams:
                    nursery.start_soon(send, stream)
                    nursery.start_soon(receive, stream)


async def test_tls_when_the_client_does_not_trust_the_server_then_both_are_told(
    autojump_clock: MockClock,
) -> None:
    """An unknown authority, and a name that the certificate is not for."""
    strangers, _ = new_contexts()
    for name, for_server in ((NAME, strangers), ("other.example", contexts()[0])):
        with Network(1) as network:
            async with plain_pair(network) as (near, far):
                client = trio.SSLStream(near, contexts()[1], server_hostname=name)
                server = trio.SSLStream(far, for_server, server_side=True)

                async def serve(server: trio.SSLStream[Any] = server) -> None:
                    with pytest.raises(trio.BrokenResourceError) as caught:
                        await server.do_handshake()
                        await server.receive_some()
                    assert isinstance(caught.value.__cause__, ssl.SSLError)

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(serve)
                    with pytest.raises(trio.BrokenResourceError) as caught:
                        await client.send_all(b"x")
                    assert isinstance(caught.value.__cause__, ssl.SSLCertVerificationError)
                    with pytest.raises(trio.BrokenResourceError):
                        await client.receive_some()
                    await trio.aclose_forcefully(client)


async def test_tls_when_the_handshake_is_done_then_there_is_something_to_know(
    autojump_clock: MockClock,
) -> None:
    """Not before: protocol, certificate, channel binding; the transport and the name always."""
    with Network(1) as network:
        async with plain_pair(network) as (near, far):
            client, server = wrap(near, far)
            assert client.transport_stream is near
            assert client.server_hostname == NAME
            assert server.server_side
            with pytest.raises(trio.NeedHandshakeError):
                client.getpeercert()
            with pytest.raises(trio.NeedHandshakeError):
                client.selected_alpn_protocol()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.do_handshake)
                nursery.start_soon(server.do_handshake)
                nursery.start_soon(client.do_handshake)  # twice is fine, also at once
            assert ("DNS", NAME) in client.getpeercert()["subjectAltName"]
            assert server.getpeercert() is None
            assert client.version() == server.version() == "TLSv1.3"
            assert client.selected_alpn_protocol() is None


async def test_tls_when_two_tasks_use_it_then_the_second_is_told(autojump_clock: MockClock) -> None:
    """As of plain streams; sending nothing is fine."""
    with Network(1) as network:
        async with pair(network) as (client, _):
            await client.send_all(b"")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.receive_some)
                nursery.start_soon(client.send_all, bytes(5_000_000))
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(trio.BusyResourceError):
                    await client.receive_some()
                with pytest.raises(trio.BusyResourceError):
                    await client.send_all(b"x")
                with pytest.raises(trio.BusyResourceError):
                    await client.wait_send_all_might_not_block()
                nursery.cancel_scope.cancel()


async def test_tls_when_both_close_then_each_is_told_of_the_end(autojump_clock: MockClock) -> None:
    """The end of the data is the other side's farewell, and is no error."""
    with Network(1) as network:
        async with pair(network) as (client, server):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.aclose)
                assert await receive_all(server) == b""
                await server.aclose()
            for stream in (client, server):
                with pytest.raises(trio.ClosedResourceError):
                    await stream.send_all(b"x")
                await stream.aclose()  # twice is fine


@pytest.mark.parametrize("https", [False, True])
async def test_tls_when_the_peer_leaves_without_a_farewell_then_only_https_takes_that_for_the_end(
    https: bool, autojump_clock: MockClock
) -> None:
    """A FIN without TLS's own end may be an attacker's; HTTPS ignores that (RFC 2818 section 2.2)."""
    with Network(1) as network:
        async with pair(network, https=https) as (client, server):
            await client.send_all(b"hello")
            await client.transport_stream.aclose()
            assert await server.receive_some() == b"hello"
            if https:
                assert await server.receive_some() == b""
            else:
                with pytest.raises(trio.BrokenResourceError):
                    await server.receive_some()


async def test_tls_when_the_peer_leaves_before_the_handshake_then_it_is_broken(
    autojump_clock: MockClock,
) -> None:
    """With HTTPS the end of what never began is an end, too."""
    for https in (False, True):
        with Network(1) as network:
            async with plain_pair(network) as (near, far):
                _, server = wrap(near, far, https=https)
                await near.aclose()
                if https:
                    assert await server.receive_some() == b""
                else:
                    with pytest.raises(trio.BrokenResourceError):
                        await server.receive_some()


async def test_tls_when_the_connection_breaks_then_every_step_says_so(autojump_clock: MockClock) -> None:
    """In the handshake, while data are sent, and not when it is closed, which closes the transport."""
    with Network(1) as network:
        async with plain_pair(network) as (near, far):
            client, _ = wrap(near, far)
            network.connections[0].reset()
            with pytest.raises(trio.BrokenResourceError):
                await client.do_handshake()
    with Network(2) as network:
        async with pair(network) as (client, server):
            network.connections[0].reset()
            with pytest.raises(trio.BrokenResourceError):
                await client.send_all(b"x")
            await server.aclose()
            assert network.host("server").sockets.keys() == {2**30}  # the listener
            with pytest.raises(trio.ClosedResourceError):
                await server.receive_some()


async def test_tls_when_the_network_is_cut_then_a_cancelled_close_is_quick(autojump_clock: MockClock) -> None:
    """Closing waits for the other side; cancelled, it leaves no socket."""
    with Network(1) as network:
        async with pair(network) as (client, _):
            network.partition("client", "server")
            with trio.move_on_after(5) as scope:
                await client.receive_some()
            assert scope.cancelled_caught
            with trio.move_on_after(5) as scope:
                await client.send_all(bytes(1_000_000))
            assert scope.cancelled_caught
            with trio.move_on_after(0):
                await client.aclose()
            assert network.host("client").sockets == {}


async def test_tls_when_it_is_taken_off_then_the_connection_goes_on_without(
    autojump_clock: MockClock,
) -> None:
    """``unwrap`` on both sides; what came after TLS's end is handed over."""
    with Network(1) as network:
        async with pair(network) as (client, server):

            async def unwrap_and_speak() -> None:
                transport, rest = await client.unwrap()
                assert rest == b""
                await transport.send_all(b"in plain text")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(unwrap_and_speak)
                assert await server.receive_some() == b""
                transport, rest = await server.unwrap()
                while len(rest) < 13:
                    rest += await transport.receive_some()
                assert rest == b"in plain text"
            with pytest.raises(trio.ClosedResourceError):
                await server.receive_some()


async def test_tls_when_it_is_inside_of_tls_then_it_works_as_well(autojump_clock: MockClock) -> None:
    """As through a proxy."""
    with Network(1) as network:
        async with pair(network) as (outer_client, outer_server):
            client, server = wrap(outer_client, outer_server)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.send_all, b"hello")
                assert await server.receive_some() == b"hello"


async def test_tls_when_trio_checks_it_then_it_is_a_stream(autojump_clock: MockClock) -> None:
    """trio's own checks of the contract."""
    with Network(1):
        (listener,) = await trio.open_tcp_listeners(443, host="127.0.0.1")

        async def make() -> Pair:
            near = await trio.open_tcp_stream("127.0.0.1", 443)
            client, server = wrap(near, await listener.accept(), https=True)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.do_handshake)
                nursery.start_soon(server.do_handshake)
            return client, server

        async with listener:
            await trio.testing.check_two_way_stream(make, None)


async def test_ssl_over_tcp_when_it_is_served_then_a_slow_handshake_stops_nobody(
    autojump_clock: MockClock,
) -> None:
    """``serve_ssl_over_tcp`` and ``open_ssl_over_tcp_stream``; beside a client that never begins."""

    async def echo(stream: trio.SSLStream[Any]) -> None:
        with contextlib.suppress(trio.BrokenResourceError):
            async for data in stream:
                await stream.send_all(data)

    for_server, for_client = contexts()
    with Network(1, latency=0.05) as network:
        async with trio.open_nursery() as nursery:
            with network.host("server") as server:
                await nursery.start(trio.serve_ssl_over_tcp, echo, 443, for_server)
            network.dns.add(NAME, *server.addresses)
            with network.host("client"):
                silent = await trio.open_tcp_stream(NAME, 443)
                stream = await trio.open_ssl_over_tcp_stream(NAME, 443, ssl_context=for_client)
                began = trio.current_time()
                await stream.send_all(b"hello")
                assert await stream.receive_some() == b"hello"
                # A round trip for each: the client's hello, and the data with the end of the handshake.
                assert trio.current_time() - began == pytest.approx(0.2, abs=0.01)
                await stream.aclose()
                await silent.aclose()
                unchecked = await trio.open_ssl_over_tcp_stream(
                    server.addresses[0], 443, ssl_context=for_client
                )
                with pytest.raises(trio.BrokenResourceError):
                    await unchecked.do_handshake()
                await trio.aclose_forcefully(unchecked)
            nursery.cancel_scope.cancel()
