"""`trio.SocketStream` and `trio.SocketListener` on links with latency, and peers that go."""

from __future__ import annotations

import errno
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from trioserver.testing import Network

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock


@asynccontextmanager
async def pair(network: Network) -> AsyncIterator[tuple[trio.SocketStream, trio.SocketStream]]:
    """Two connected streams, of the hosts ``client`` and ``server``."""
    with network.host("server"):
        (listener,) = await trio.open_tcp_listeners(80, host="0.0.0.0")
    with network.host("client"):
        near = await trio.open_tcp_stream("server", 80)
    async with listener, near, await listener.accept() as far:
        yield near, far


async def test_stream_when_it_is_made_then_it_wants_a_connected_stream_socket(
    autojump_clock: MockClock,
) -> None:
    """No datagrams, no listener, no socket of the standard library; options are the socket's."""
    with Network(1) as network:
        with (
            trio.socket.socket(type=socket.SOCK_DGRAM) as sock,
            pytest.raises(ValueError, match="SOCK_STREAM"),
        ):
            trio.SocketStream(sock)
        with socket.socket() as kernels, pytest.raises(TypeError, match="Trio socket"):
            trio.SocketStream(kernels)  # type: ignore[arg-type]
        async with pair(network) as (near, _):
            assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, False)
            assert near.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1) == b"\0"


async def test_stream_when_much_is_sent_then_it_arrives_whole_in_time_of_the_network(
    autojump_clock: MockClock,
) -> None:
    """A megabyte each way at once, with a bandwidth: neither waits for the other."""
    data = bytes(range(256)) * 4000

    async def send(stream: trio.SocketStream) -> None:
        await stream.send_all(data)
        await stream.send_eof()

    async def receive(stream: trio.SocketStream) -> None:
        got = b"".join([bytes(chunk) async for chunk in stream])
        assert got == data

    with Network(1, latency=0.01, bandwidth=1_024_000) as network:
        async with pair(network) as (near, far):
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                for stream in (near, far):
                    nursery.start_soon(send, stream)
                    nursery.start_soon(receive, stream)
            assert 1 < trio.current_time() - began < 1.5


async def test_stream_when_the_peer_does_not_read_then_sending_waits_and_can_be_cancelled(
    autojump_clock: MockClock,
) -> None:
    """Buffers and windows are bounded; what a cancelled ``send_all`` did send arrives."""
    with Network(1) as network:
        async with pair(network) as (near, far):
            with trio.move_on_after(60) as scope:
                await near.send_all(bytes(10_000_000))
            assert scope.cancelled_caught
            await near.aclose()
            received = sum([len(chunk) async for chunk in far])
            assert 100_000 < received < 1_000_000


async def test_stream_when_two_tasks_use_it_then_the_second_is_told(autojump_clock: MockClock) -> None:
    """One receives and one sends at a time; both of a kind are an error of the program."""
    with Network(1) as network:
        async with pair(network) as (near, _):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(near.receive_some)
                nursery.start_soon(near.send_all, bytes(10_000_000))
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(trio.BusyResourceError):
                    await near.receive_some()
                with pytest.raises(trio.BusyResourceError):
                    await near.send_all(b"x")
                with pytest.raises(trio.BusyResourceError):
                    await near.wait_send_all_might_not_block()
                nursery.cancel_scope.cancel()


async def test_stream_when_it_is_closed_meanwhile_then_the_task_in_it_is_told(
    autojump_clock: MockClock,
) -> None:
    """``trio.ClosedResourceError`` for whoever waits, and for whoever comes after."""
    with Network(1) as network:
        async with pair(network) as (near, _):
            with pytest.RaisesGroup(trio.ClosedResourceError, trio.ClosedResourceError):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(near.receive_some)
                    nursery.start_soon(near.send_all, bytes(10_000_000))
                    await trio.testing.wait_all_tasks_blocked()
                    await near.aclose()
            for use in (near.receive_some, near.send_eof):
                with pytest.raises(trio.ClosedResourceError):
                    await use()


async def test_stream_when_the_peer_is_gone_then_it_is_broken(autojump_clock: MockClock) -> None:
    """Closed with unread data, reset by the network, crashed and up again: the error has its ``errno``."""
    with Network(1) as network:
        async with pair(network) as (near, far):
            await near.send_all(b"unread")
            await trio.sleep(1)
            await far.aclose()
            with pytest.raises(trio.BrokenResourceError) as caught:
                await near.receive_some()
            assert isinstance(caught.value.__cause__, ConnectionResetError)
    with Network(2) as network:
        async with pair(network) as (near, _):
            (connection,) = network.connections
            connection.reset()
            with pytest.raises(trio.BrokenResourceError):
                await near.send_all(b"x")
    with Network(3) as network:
        async with pair(network) as (near, _):
            network.host("server").restart()
            with pytest.raises(trio.BrokenResourceError):
                while True:
                    await near.send_all(b"x")
                    await trio.sleep(1)


async def test_stream_when_the_network_stays_cut_then_it_breaks_after_a_quarter_of_an_hour(
    autojump_clock: MockClock,
) -> None:
    """``ETIMEDOUT``, as tcp(7) has it of ``tcp_retries2``: 13 to 30 minutes, by the clock of the network."""
    with Network(1) as network:
        async with pair(network) as (near, _):
            network.partition("client", "server")
            began = trio.current_time()
            await near.send_all(b"x")
            with pytest.raises(trio.BrokenResourceError) as caught:
                await near.receive_some()
            assert isinstance(caught.value.__cause__, OSError)
            assert caught.value.__cause__.errno == errno.ETIMEDOUT
            assert 780 < trio.current_time() - began < 1800


@pytest.mark.parametrize("seed", range(3))
async def test_stream_when_trio_checks_it_then_it_is_a_half_closeable_stream(
    seed: int, autojump_clock: MockClock
) -> None:
    """trio's own checks of the contract, over a link that loses and reorders."""

    async def make() -> tuple[trio.SocketStream, trio.SocketStream]:
        with network.host("client"):
            near = await trio.open_tcp_stream("server", 80)
        return near, await listener.accept()

    async def make_clogged() -> tuple[trio.SocketStream, trio.SocketStream]:
        streams = await make()
        for stream in streams:
            with trio.move_on_after(100):
                await stream.send_all(bytes(10_000_000))
        return streams

    with Network(seed, loss=0.1, reordering=0.2, latency=0.01) as network:
        with network.host("server"):
            (listener,) = await trio.open_tcp_listeners(80, host="0.0.0.0")
        async with listener:
            await trio.testing.check_half_closeable_stream(make, make_clogged)


async def test_listener_when_it_is_made_then_it_wants_a_socket_that_listens(
    autojump_clock: MockClock,
) -> None:
    """No socket of the standard library, none that is only bound; closing twice is fine."""
    with Network(1):
        with socket.socket() as kernels, pytest.raises(TypeError, match="Trio socket"):
            trio.SocketListener(kernels)  # type: ignore[arg-type]
        with trio.socket.socket() as sock:
            await sock.bind(("127.0.0.1", 0))
            with pytest.raises(ValueError, match="listen"):
                trio.SocketListener(sock)
            sock.listen()
            listener = trio.SocketListener(sock)
            near = await trio.open_tcp_stream(*sock.getsockname())
            async with near, await listener.accept() as far:
                assert far.socket.getpeername() == near.socket.getsockname()
            await listener.aclose()
            await listener.aclose()
            with pytest.raises(trio.ClosedResourceError):
                await listener.accept()


async def test_listener_when_the_client_has_left_then_its_connection_is_accepted_all_the_same(
    autojump_clock: MockClock,
) -> None:
    """What it has sent can be read; one that was reset is accepted too, and is broken."""
    with Network(1) as network:
        with network.host("server"):
            (listener,) = await trio.open_tcp_listeners(80, host="0.0.0.0")
        with network.host("client"):
            async with await trio.open_tcp_stream("server", 80) as near:
                await near.send_all(b"I was here")
            await trio.sleep(1)
            async with await listener.accept() as far:
                assert await far.receive_some() == b"I was here"
                assert await far.receive_some() == b""
            near = await trio.open_tcp_stream("server", 80)
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await near.aclose()
            await trio.sleep(1)
            async with await listener.accept() as far:
                with pytest.raises(trio.BrokenResourceError):
                    await far.receive_some()
        await listener.aclose()


async def test_listener_when_descriptors_run_out_then_accept_raises_and_works_later(
    autojump_clock: MockClock,
) -> None:
    """``EMFILE`` leaves the connection where it is."""
    with Network(1) as network:
        with network.host("server") as server:
            (listener,) = await trio.open_tcp_listeners(80, host="0.0.0.0")
        with network.host("client"):
            async with await trio.open_tcp_stream("server", 80):
                server.max_fds = 1
                with pytest.raises(OSError, match="open files") as caught:
                    await listener.accept()
                assert caught.value.errno == errno.EMFILE
                server.max_fds = 2
                await (await listener.accept()).aclose()
        await listener.aclose()
