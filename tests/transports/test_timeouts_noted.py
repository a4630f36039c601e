"""Which timeout fired, in ``RequestStream.timeouts``."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from trioserver import StreamTimeout, Timeout
from trioserver._transports.deadlines import DeadlineWatch
from trioserver._transports.socket_stream import SocketStream

from .kit import FakeEndpoint


async def test_timeouts_when_they_fire_then_each_is_noted_once_and_in_order(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The end of a `wait_request` is another one than that of a wait in the middle of a request."""
    async with trio.open_nursery() as nursery:
        stream = SocketStream(FakeEndpoint(room=0), watch=DeadlineWatch(nursery.start_soon))
        assert not stream.timeouts
        assert not await stream.wait_request(1)
        assert list(stream.timeouts) == [Timeout.IDLE]
        stream.timeout = 2
        for wait in (stream.receive_some, lambda: stream.send_all(b"x")):
            with pytest.raises(StreamTimeout):
                await wait()
            assert list(stream.timeouts) == [Timeout.IDLE, Timeout.WAIT]
        assert not await stream.wait_request()
        assert list(stream.timeouts) == [Timeout.IDLE, Timeout.WAIT]
        nursery.cancel_scope.cancel()


async def test_timeouts_when_one_is_the_applications_own_then_nothing_is_noted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """``trio.fail_after`` around a read is no timeout of ours, nor is any TimeoutError."""
    async with trio.open_nursery() as nursery:
        stream = SocketStream(FakeEndpoint(), watch=DeadlineWatch(nursery.start_soon))
        stream.timeout = 10
        with pytest.raises(trio.TooSlowError):
            with trio.fail_after(1):
                await stream.receive_some()
        with trio.move_on_after(1):
            await stream.wait_request()
        assert stream.timeouts == ()
        nursery.cancel_scope.cancel()


async def test_timeouts_when_a_wait_is_interrupted_early_then_nothing_is_noted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The drain ends `wait_request` as well, and that is no timeout."""
    async with trio.open_nursery() as nursery:
        stream = SocketStream(FakeEndpoint(), watch=DeadlineWatch(nursery.start_soon))
        nursery.start_soon(stream.wait_request, 10)
        await trio.testing.wait_all_tasks_blocked()
        stream.begin_drain()
        await trio.testing.wait_all_tasks_blocked()
        assert stream.timeouts == ()
        nursery.cancel_scope.cancel()
