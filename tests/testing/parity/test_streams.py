"""trio's own streams and listeners, on sockets of both kinds."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from .kit import abort
from .worlds import LOCALHOST, World, background, parity

if TYPE_CHECKING:
    from pathlib import Path


async def stream_pair(world: World, **options: Any) -> tuple[trio.SocketStream, trio.SocketStream]:
    """Two connected streams."""
    client, server = await world.pair(**options)
    return trio.SocketStream(client), trio.SocketStream(server)


async def small_pair(world: World) -> tuple[trio.SocketStream, trio.SocketStream]:
    """Two connected streams that are clogged by some kilobytes."""
    left, right = await stream_pair(world)
    for stream in [left, right]:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    return left, right


@parity
async def test_tcp_stream_when_checked_then_it_keeps_trios_rules(world: World) -> None:
    """trio.testing knows them: closing, cancelling, both halves, concurrent use, what happens at the end."""

    async def make() -> tuple[trio.SocketStream, trio.SocketStream]:
        return await stream_pair(world)

    async def clogged() -> tuple[trio.SocketStream, trio.SocketStream]:
        left, right = await stream_pair(world)
        for one in [left, right]:
            await world.fill(one.socket)
        return left, right

    await trio.testing.check_half_closeable_stream(make, clogged)


@parity
async def test_unix_stream_when_checked_then_it_keeps_trios_rules(world: World, tmp_path: Path) -> None:
    """A Unix socket is a half-closeable stream as TCP is."""
    count = 0

    async def make() -> tuple[trio.SocketStream, trio.SocketStream]:
        nonlocal count
        count += 1
        return await stream_pair(world, address=str(tmp_path / str(count)), family=socket.AF_UNIX)

    async def clogged() -> tuple[trio.SocketStream, trio.SocketStream]:
        left, right = await make()
        for one in [left, right]:
            await world.fill(one.socket)
        return left, right

    await trio.testing.check_half_closeable_stream(make, clogged)


@parity
async def test_stream_when_much_is_sent_then_send_all_sends_all(world: World) -> None:
    """Through buffers that are far smaller."""
    left, right = await small_pair(world)
    data = bytes(number % 251 for number in range(300_000))

    async def send() -> None:
        await left.send_all(data)
        await left.send_eof()

    async with background(send):
        got = bytearray()
        async for chunk in right:
            got += chunk
    assert got == data


@parity
async def test_stream_when_reset_then_broken_resource_error(world: World) -> None:
    """From both directions."""
    left, right = await stream_pair(world)
    abort(right.socket)
    with pytest.raises(trio.BrokenResourceError) as caught:
        await left.receive_some()
    assert isinstance(caught.value.__cause__, ConnectionResetError)
    with pytest.raises(trio.BrokenResourceError):
        await left.send_all(b"x")


@parity
async def test_stream_when_the_peer_has_closed_then_sending_breaks_in_the_end(world: World) -> None:
    """After what was sent first has been answered."""
    left, right = await stream_pair(world)
    await right.aclose()
    assert await left.receive_some() == b""
    await left.send_all(b"first")
    await world.quiet()
    with pytest.raises(trio.BrokenResourceError):
        await left.send_all(b"second")


@parity
async def test_stream_when_send_eof_was_called_then_sending_is_closed(world: World) -> None:
    """trio's error, without asking the kernel."""
    left, right = await stream_pair(world)
    await left.send_eof()
    await left.send_eof()
    with pytest.raises(trio.ClosedResourceError):
        await left.send_all(b"x")
    assert await right.receive_some() == b""


@parity
async def test_stream_when_made_then_nagles_algorithm_is_off(world: World) -> None:
    """trio sets the option, and on some systems another."""
    left, _ = await stream_pair(world)
    assert left.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


@parity
async def test_stream_when_the_socket_is_not_one_then_it_can_not_be_made(world: World) -> None:
    """It asks for the type."""
    with pytest.raises(ValueError, match="SOCK_STREAM"):
        trio.SocketStream(world.socket(kind=socket.SOCK_DGRAM))


@parity
async def test_listener_when_the_socket_does_not_listen_then_it_can_not_be_made(world: World) -> None:
    """It asks for SO_ACCEPTCONN."""
    with pytest.raises(ValueError, match="listen"):
        trio.SocketListener(await world.bound())
    with pytest.raises(ValueError, match="SOCK_STREAM"):
        trio.SocketListener(await world.datagrams())


@parity
async def test_listener_when_closed_then_closed_resource_error(world: World) -> None:
    """Before, and while a task accepts."""
    listener = trio.SocketListener(await world.listener())

    async def accept() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await listener.accept()

    async with background(accept):
        await listener.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await listener.accept()


@parity
async def test_open_tcp_listeners_when_given_an_address_then_one_listens_there(world: World) -> None:
    """With SO_REUSEADDR, as servers need it."""
    (listener,) = await trio.open_tcp_listeners(0, host=LOCALHOST)
    async with listener:
        host, port = listener.socket.getsockname()
        assert host == LOCALHOST
        assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR) == 1
        async with await trio.open_tcp_stream(LOCALHOST, port) as client:
            async with await listener.accept() as server:
                await client.send_all(b"x")
                assert await server.receive_some(1) == b"x"


@pytest.mark.usefixtures("ipv6")
@parity
async def test_open_tcp_listeners_when_no_host_is_given_then_both_families_listen(world: World) -> None:
    """The IPv6 socket for IPv6 only."""
    listeners = await trio.open_tcp_listeners(0)
    for listener in listeners:
        world.keep(listener.socket)
    assert {listener.socket.family for listener in listeners} == {socket.AF_INET, socket.AF_INET6}
    for listener in listeners:
        if listener.socket.family == socket.AF_INET6:
            assert listener.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


@parity
async def test_open_tcp_listeners_when_the_port_is_taken_then_eaddrinuse(world: World) -> None:
    """And nothing stays open."""
    port = (await world.listener()).getsockname()[1]
    with pytest.raises(OSError, match="in use") as caught:
        await trio.open_tcp_listeners(port, host=LOCALHOST)
    assert caught.value.errno == errno.EADDRINUSE
