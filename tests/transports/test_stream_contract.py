"""The stream keeps the contract of ``trio.abc.HalfCloseableStream``, on both ways to wait."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from trioserver import StreamReader, StreamWriter
from trioserver._transports.socket_stream import SocketStream

from .kit import read_all_of, reset

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .kit import Wires


@pytest.mark.parametrize("kind", ["unix", "tcp"])
async def test_stream_passes_trios_own_check(wires: Wires, kind: str) -> None:
    """What trio checks of every half-closeable stream holds for ours."""
    made = 0

    async def maker() -> tuple[SocketStream, SocketStream]:
        nonlocal made
        made += 1
        return wires.pair(kind)

    async def clogged_maker() -> tuple[SocketStream, SocketStream]:
        near, far = wires.pair(kind, small=True)
        for stream in (near, far):  # and small receive buffers, or TCP goes on moving bytes over
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        for stream in (near, far):
            while stream.try_send(bytes(65536)):  # until the kernel takes no more
                pass
        return near, far

    await trio.testing.check_half_closeable_stream(maker, clogged_maker)
    assert made > 0


async def test_send_when_the_peer_has_reset_then_the_resource_is_broken(wires: Wires) -> None:
    """A reset by the peer is BrokenResourceError for the sender, and the stream remembers the errno."""
    stream, peer = wires.with_peer("tcp")
    reset(peer)
    with pytest.raises(trio.BrokenResourceError):
        while True:
            await stream.send_all(b"x")
    assert isinstance(stream.peer_error, OSError)


async def test_receive_when_the_peer_has_reset_then_the_resource_is_broken(wires: Wires) -> None:
    """A reset that comes while a task waits to receive is BrokenResourceError there."""
    stream, peer = wires.with_peer("tcp")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()

        await trio.testing.wait_all_tasks_blocked()
        reset(peer)
    assert stream.peer_error is not None


async def test_send_when_send_eof_was_called_then_it_is_closed_and_not_broken(wires: Wires) -> None:
    """Sending after send_eof() is the caller's mistake, and no sign that the peer is gone."""
    stream, peer = wires.with_peer("tcp")
    await stream.send_eof()
    with pytest.raises(trio.ClosedResourceError):
        await stream.send_all(b"x")
    assert stream.peer_error is None
    assert await read_all_of(peer) == b""


async def test_read_when_the_stream_was_closed_after_a_short_receive_then_it_raises(wires: Wires) -> None:
    """Reading on a closed stream raises at once, also where it would have begun with a wait."""
    stream, peer = wires.with_peer()
    peer.send(b"x")
    await stream.receive_some()
    stream.close()
    with pytest.raises(trio.ClosedResourceError):
        await stream.fill()


async def test_receive_when_another_task_closes_the_stream_then_it_raises(wires: Wires) -> None:
    """Closing wakes the task that waits to receive, and the one that waits to send."""
    stream, _ = wires.with_peer(small=True)
    ended = []

    async def receive() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await stream.receive_some()
        ended.append("receive")

    async def send() -> None:
        with pytest.raises(trio.ClosedResourceError):
            await stream.send_all(bytes(1 << 20))
        ended.append("send")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        nursery.start_soon(send)
        await trio.testing.wait_all_tasks_blocked()
        await stream.aclose()
    assert sorted(ended) == ["receive", "send"]


async def test_aclose_when_another_task_closes_the_stream_then_it_is_closed_and_that_is_all(
    wires: Wires,
) -> None:
    """While it sends what is gathered: the stream is as closed as it was asked to be."""
    stream, _ = wires.with_peer(small=True)
    await StreamWriter(stream, buffer_bytes=1 << 24).write(bytes(1 << 20))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.aclose)
        await trio.testing.wait_all_tasks_blocked()
        stream.close()


async def test_wait_to_send_when_called_twice_then_both_return(wires: Wires) -> None:
    """That there is room is no news to be told once: asking again gets the same answer."""
    stream, _ = wires.with_peer()
    with trio.fail_after(5):
        for _ in range(3):
            await stream.wait_send_all_might_not_block()
    assert not stream.closed


async def test_receive_when_two_tasks_do_then_the_second_is_told(wires: Wires) -> None:
    """Only one task may receive at a time."""
    stream, _ = wires.with_peer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.receive_some)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await stream.receive_some()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("timeout", [None, 30.0])
@pytest.mark.parametrize("read", [SocketStream.receive_some, lambda stream: StreamReader(stream).read1()])
async def test_receive_when_it_is_interrupted_then_it_goes_on_waiting(
    wires: Wires, read: Callable[[SocketStream], Awaitable[bytes]], timeout: float | None
) -> None:
    """Whoever interrupts it means another wait, or a drain; what comes later is had in the same call."""
    stream, peer = wires.with_peer()
    stream.timeout = timeout
    peer.send(b"before")
    assert await read(stream) == b"before"  # so that the next one waits at once
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def receive() -> None:
            with trio.fail_after(5):
                assert await read(stream) == b"after"

        for _ in range(2):
            await trio.testing.wait_all_tasks_blocked()
            stream.interrupt()
        await trio.testing.wait_all_tasks_blocked()
        peer.send(b"after")
    assert not stream.buffer.size


async def test_receive_when_another_task_has_looked_for_a_request_meanwhile_then_bytes_stay_in_order(
    wires: Wires,
) -> None:
    """It may have put into the buffer what the one that waits was to be told of."""
    stream, peer = wires.with_peer()
    got: list[bytes] = []

    async def receive() -> None:
        while data := await stream.receive_some():
            got.append(data)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(receive)
        await trio.testing.wait_all_tasks_blocked()
        peer.send(b"1")
        assert await stream.wait_request()
        peer.send(b"2")
        await trio.testing.wait_all_tasks_blocked()
        peer.close()
    assert b"".join(got) == b"12"


@pytest.mark.parametrize("read", [SocketStream.receive_some, lambda stream: StreamReader(stream).read1()])
async def test_receive_when_replies_are_gathered_then_they_are_sent_before_it_waits(
    wires: Wires, read: Callable[[SocketStream], Awaitable[bytes]]
) -> None:
    """A peer that waits for them before it says more is not waited for."""
    stream, peer = wires.with_peer()
    await StreamWriter(stream, buffer_bytes=100).write(b"gathered")
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def answer() -> None:
            with trio.fail_after(5):
                await trio.lowlevel.wait_readable(peer)
                assert peer.recv(100) == b"gathered"
                peer.send(b"next")

        with trio.fail_after(5):
            assert await read(stream) == b"next"


@pytest.mark.parametrize("wrong", [0, -1])
async def test_receive_when_max_bytes_is_not_positive_then_value_error(wires: Wires, wrong: int) -> None:
    """Asking for no bytes is refused: the answer would look like the end of the stream."""
    stream, _ = wires.with_peer()
    with pytest.raises(ValueError, match="at least 1"):
        await stream.receive_some(wrong)


async def test_half_close_when_the_peer_ends_then_replies_still_go_out(wires: Wires) -> None:
    """A client that closes its half after the request gets the whole reply."""
    stream, peer = wires.with_peer("tcp")
    peer.send(b"request")
    peer.shutdown(socket.SHUT_WR)
    assert await stream.receive_some() == b"request"
    assert await stream.receive_some() == b""
    assert stream.end_of_stream
    await stream.send_all(b"reply")
    await stream.send_eof()
    assert await read_all_of(peer) == b"reply"


async def test_counts_when_bytes_pass_then_they_are_counted(wires: Wires) -> None:
    """The stream counts what came and what the kernel took."""
    stream, peer = wires.with_peer()
    peer.send(b"12345")
    await stream.receive_some(2)
    await stream.send_all(b"123")
    assert (stream.bytes_received, stream.bytes_sent) == (2, 3)
