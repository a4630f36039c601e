"""Connections in memory, which `connect` is made of: as a stream of trio's, and as a socket."""

from __future__ import annotations

import errno
import os
import socket

import pytest
import trio
import trio.testing

from trioserver import Endpoint
from trioserver.testing._memory import BUFFER_BYTES, MemoryEndpoint, MemoryListener
from trioserver.testing._memory_stream import MemoryStream


def connected() -> tuple[MemoryEndpoint, MemoryEndpoint]:
    """Two ends, as a server gets them."""
    listener = MemoryListener(socket.AF_INET)
    listener.bind(("127.0.0.1", 0))
    near = listener.put(("192.0.2.1", 2000))
    far, address = listener.accept_nowait()
    assert address == near.getsockname() == far.getpeername() == ("192.0.2.1", 2000)
    return near, far


async def stream_pair() -> tuple[MemoryStream, MemoryStream]:
    """Two streams."""
    near, far = connected()
    return MemoryStream(near), MemoryStream(far)


async def clogged_pair() -> tuple[MemoryStream, MemoryStream]:
    """Two streams, neither of which has room to send."""
    near, far = await stream_pair()
    await near.send_all(bytes(BUFFER_BYTES))
    await far.send_all(bytes(BUFFER_BYTES))
    return near, far


async def test_stream_does_what_trio_asks_of_one(autojump_clock: trio.testing.MockClock) -> None:
    """trio's own suite for half-closeable streams."""
    await trio.testing.check_half_closeable_stream(stream_pair, clogged_pair)


async def test_endpoint_when_closed_with_unread_input_then_the_peer_is_reset() -> None:
    """As on a Unix socket; what had arrived before is still there to read."""
    near, far = connected()
    assert isinstance(far, Endpoint)
    near.send_nowait(b"never read")
    far.send_nowait(b"goodbye")
    far.close()
    assert near.recv_nowait(100) == b"goodbye"
    with pytest.raises(ConnectionResetError):
        near.recv_nowait(100)
    with pytest.raises(ConnectionResetError):
        near.send_nowait(b"x")


async def test_endpoint_when_closed_then_the_peer_sees_the_end_and_sends_in_vain() -> None:
    """An end of the stream to read, and EPIPE to send."""
    near, far = connected()
    far.close()
    assert near.recv_nowait(100) == b""
    with pytest.raises(BrokenPipeError):
        near.send_nowait(b"x")
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        far.recv_nowait(1)
    far.close()  # twice is fine


async def test_abort_when_a_receive_waits_then_it_gets_the_reset() -> None:
    """At once, and the own waits end, too."""
    near, far = connected()
    async with trio.open_nursery() as nursery:

        async def receive() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await MemoryStream(near).receive_some()

        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        far.abort()


async def test_listener_when_closed_then_who_was_not_accepted_is_reset() -> None:
    """And whoever waited for a connection is told."""
    listener = MemoryListener(socket.AF_UNIX)
    listener.bind("/run/s")
    listener.listen(1)
    near = listener.put("")
    listener.close()
    with pytest.raises(ConnectionResetError):
        near.recv_nowait(1)
    with pytest.raises(trio.ClosedResourceError):
        await listener.wait_readable()


async def test_endpoint_when_shut_down_then_one_half_or_both_are_closed() -> None:
    """For reading it is this end's business alone; options are kept, and do nothing."""
    near, far = connected()
    far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert far.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert far.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8) == bytes(8)
    far.shutdown(socket.SHUT_RD)
    assert far.recv_nowait(1) == b""
    far.send_nowait(b"x")
    with pytest.raises(BrokenPipeError):
        near.send_nowait(b"x")
    far.shutdown(socket.SHUT_RDWR)
    assert near.recv_nowait(2) == b"x"
    assert near.recv_nowait(2) == b""
    with pytest.raises(OSError, match=os.strerror(errno.ENOTCONN)):
        MemoryListener(socket.AF_INET).getpeername()


async def test_endpoint_when_two_tasks_wait_then_the_second_is_told() -> None:
    """And one whose wait is interrupted finds the endpoint open."""
    near, _ = connected()
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await near.wait_readable()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await near.wait_readable()
        near.interrupt()
    assert near.fileno() != -1
    await near.wait_writable()
