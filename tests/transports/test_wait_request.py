"""The condition of a keep-alive loop: when it is true, and what ends it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from .kit import reset

if TYPE_CHECKING:
    from .kit import Wires


async def test_wait_request_when_bytes_are_buffered_then_true_at_once(wires: Wires) -> None:
    """Pipelined requests are there already."""
    stream, peer = wires.with_peer()
    peer.send(b"12")
    await stream.receive_some(1)
    peer.send(b"3")
    assert await stream.wait_request()
    assert not stream.idle
    assert await stream.receive_some(1) == b"2"


async def test_wait_request_when_a_byte_comes_then_true_and_it_is_kept(wires: Wires) -> None:
    """The bytes that ended the wait stay for the next read; while it waits the stream is idle."""
    stream, peer = wires.with_peer()
    answers: list[bool] = []

    async def wait() -> None:
        answers.append(await stream.wait_request())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        assert stream.idle
        peer.send(b"x")
    assert answers == [True]
    assert await stream.receive_some() == b"x"


async def test_wait_request_when_the_peer_closes_then_false(wires: Wires) -> None:
    """The end of the stream ends the loop, however often it is asked."""
    stream, peer = wires.with_peer()
    peer.shutdown(socket.SHUT_WR)
    assert not await stream.wait_request()
    assert not await stream.wait_request()


async def test_wait_request_when_the_peer_resets_then_it_raises(wires: Wires) -> None:
    """A reset is no end of the stream."""
    stream, peer = wires.with_peer("tcp")
    reset(peer)
    with pytest.raises(trio.BrokenResourceError):
        await stream.wait_request()


async def test_wait_request_when_the_idle_timeout_is_over_then_false(wires: Wires) -> None:
    """A client that sends nothing for the idle timeout is let go, and the timeout is not the stream's."""
    stream, _ = wires.with_peer()
    assert not await stream.wait_request(0.001)
    stream.timeout = 0.001
    assert not await stream.wait_request()
    assert stream.timeout == 0.001


@pytest.mark.parametrize("timeout", [None, 30.0])
async def test_wait_request_when_a_drain_begins_then_false(wires: Wires, timeout: float | None) -> None:
    """An idle connection does not hold up a drain, with an idle timeout or without."""
    stream, _ = wires.with_peer()
    answers: list[bool] = []

    async def wait() -> None:
        answers.append(await stream.wait_request(timeout))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        stream.begin_drain()
    assert answers == [False]
    assert not await stream.wait_request()


async def test_wait_request_when_two_tasks_call_it_then_the_drain_still_ends_the_first(wires: Wires) -> None:
    """The second is refused, and that hides nothing."""
    stream, _ = wires.with_peer()
    got: list[bool] = []

    async def wait() -> None:
        got.append(await stream.wait_request())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await stream.wait_request()
        assert stream.idle
        stream.begin_drain()
        with trio.fail_after(5):
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert got == [False]


async def test_wait_request_when_a_request_came_before_the_drain_then_a_last_look_takes_it(
    wires: Wires,
) -> None:
    """What had arrived before the drain is answered; what comes after the last look is not waited for."""
    stream, peer = wires.with_peer()
    peer.send(b"request")
    stream.begin_drain()
    assert await stream.wait_request()
    assert await stream.receive_some() == b"request"
    peer.send(b"too late")
    assert not await stream.wait_request()


async def test_wait_request_when_the_last_receive_was_short_then_the_last_look_is_made(wires: Wires) -> None:
    """A stream that believes its kernel buffer to be empty looks all the same before it gives up."""
    stream, peer = wires.with_peer()
    peer.send(b"one")
    assert await stream.receive_some() == b"one"
    peer.send(b"two")
    stream.begin_drain()
    assert await stream.wait_request()
    assert await stream.receive_some() == b"two"


async def test_read_when_a_drain_begins_then_it_goes_on(wires: Wires) -> None:
    """A drain ends the wait for a next request, not a read in the middle of one."""
    stream, peer = wires.with_peer()
    got: list[bytes] = []

    async def read() -> None:
        got.append(await stream.receive_some())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        stream.begin_drain()
        stream.interrupt()
        await trio.testing.wait_all_tasks_blocked()
        peer.send(b"rest")
    assert got == [b"rest"]


async def test_wait_request_when_cancelled_then_nothing_is_lost(wires: Wires) -> None:
    """A cancelled wait leaves the stream as it was."""
    stream, peer = wires.with_peer()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.wait_request)
        await trio.testing.wait_all_tasks_blocked()
        peer.send(b"x")
        nursery.cancel_scope.cancel()
    assert not stream.idle
    assert await stream.receive_some() == b"x"


async def test_interrupt_when_the_stream_is_closed_then_nothing_happens(wires: Wires) -> None:
    """Closing and interrupting again are harmless."""
    stream, _ = wires.with_peer()
    stream.close()
    stream.close()
    stream.interrupt()
    with pytest.raises(trio.ClosedResourceError):
        await stream.wait_request()
