"""`request_timeout` from accept to the closing of the request, and in the handler's ``finish``."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio
import trio.testing
from harness import wait_until

import trioserver
from trioserver import Outcome, Timeout

from ..promises.fakes import QueueServer, assert_accounted, at_once, forever


class Stuck(QueueServer):
    """Each request is stuck for ever in the hook whose name it is."""

    async def verify_request(self, request: Any, client_address: Any) -> bool:
        if request == "verify_request":
            await trio.sleep_forever()
        return True

    async def handshake_request(self, request: Any, client_address: Any) -> None:
        if request == "handshake_request":
            await trio.sleep_forever()

    async def process_request(self, request: Any, client_address: Any) -> None:
        if request == "process_request":
            await trio.sleep_forever()
        await super().process_request(request, client_address)

    async def shutdown_request(self, request: Any) -> None:
        if request == "shutdown_request":
            await trio.sleep_forever()
        await self.close_request(request)

    async def handle_error(self, request: Any, client_address: Any) -> None:
        await trio.sleep_forever()


@pytest.mark.parametrize("phase", ["verify_request", "handshake_request", "process_request"])
async def test_request_timeout_covers_all_that_comes_before_and_around_the_handler(
    phase: str, autojump_clock: trio.testing.MockClock
) -> None:
    """Wherever the request is stuck it ends, closed, at the same time."""
    server = Stuck(at_once, request_timeout=3)
    async with server.running():
        server.put(phase, "none")
        await trio.sleep(100)
        assert [
            (ended.client_address, ended.time, ended.outcome, ended.timeouts) for ended in server.ended()
        ] == [
            ("client none", 0, Outcome.FINISHED, ()),
            (f"client {phase}", 3, Outcome.CANCELLED, (Timeout.REQUEST,)),
        ]
    assert_accounted(server)


async def test_request_timeout_covers_the_closing_of_a_request_that_was_served(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It ends there and then; its handler had finished, and that is the outcome."""

    class Lingering(Stuck):
        async def shutdown_request(self, request: Any) -> None:
            try:
                await super().shutdown_request(request)
            finally:
                await self.close_request(request)

    server = Lingering(at_once, request_timeout=3)
    async with server.running():
        server.put("shutdown_request")
        await trio.sleep(100)
        (ended,) = server.ended()
        assert (ended.time, ended.outcome, ended.timeouts) == (3, Outcome.FINISHED, (Timeout.REQUEST,))
    assert_accounted(server)


async def test_request_timeout_covers_handle_error(autojump_clock: trio.testing.MockClock) -> None:
    """A report that gets stuck does not keep the request; it failed all the same, with its error."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        raise ValueError("once")

    server = Stuck(handler, request_timeout=3)
    async with server.running():
        server.put(1)
        await trio.sleep(100)
        (ended,) = server.ended()
        assert (ended.time, ended.outcome, str(ended.error)) == (3, Outcome.FAILED, "once")
        assert ended.timeouts == (Timeout.REQUEST,)
    assert_accounted(server)


@pytest.mark.parametrize(
    ("sleeps", "ends", "timeouts"),
    [(0, 3, (Timeout.REQUEST,)), (4, 7, (Timeout.REQUEST,)), (6, 8, (Timeout.REQUEST, Timeout.FINISH))],
)
async def test_request_timeout_when_it_fires_then_finish_sees_it_and_has_its_own_time(
    sleeps: float, ends: float, timeouts: tuple[Timeout, ...], autojump_clock: trio.testing.MockClock
) -> None:
    """``finish`` has ``finish_timeout`` from then on; the two are told in the order in which they fired."""
    seen: list[tuple[Timeout, ...]] = []

    class Handler(trioserver.BaseRequestHandler[Any]):
        finish_timeout = 5.0

        async def handle(self) -> None:
            assert self.timeouts == ()
            await trio.sleep_forever()

        async def finish(self) -> None:
            seen.append(self.timeouts)
            await trio.sleep(sleeps)

    server = QueueServer(Handler, request_timeout=3)
    async with server.running():
        server.put(1)
        await trio.sleep(100)
        assert seen == [(Timeout.REQUEST,)]
        (ended,) = server.ended()
        assert (ended.time, ended.outcome, ended.timeouts) == (ends, Outcome.CANCELLED, timeouts)
    assert_accounted(server)


async def test_request_timeout_when_finish_runs_already_then_it_is_left_finish_timeout(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """``finish`` is shielded from it, but not for ever."""
    seen: list[tuple[Timeout, ...]] = []

    class Handler(trioserver.BaseRequestHandler[Any]):
        finish_timeout = 5.0

        async def handle(self) -> None:
            await trio.sleep(1)

        async def finish(self) -> None:
            seen.append(self.timeouts)
            await trio.sleep(4)
            seen.append(self.timeouts)
            await trio.sleep_forever()

    server = QueueServer(Handler, request_timeout=3)
    async with server.running():
        server.put(1)
        await trio.sleep(100)
        (ended,) = server.ended()
        assert (ended.time, ended.timeouts) == (3 + 5, (Timeout.REQUEST, Timeout.FINISH))
    assert seen == [(), (Timeout.REQUEST,)]
    assert_accounted(server)


async def test_finish_timeout_when_it_fires_in_a_shutdown_then_the_event_says_so(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Also where no other timeout is involved, and a finish that ends in time has none."""

    class Handler(trioserver.BaseRequestHandler[Any]):
        finish_timeout = 5.0

        async def handle(self) -> None:
            await trio.sleep_forever()

        async def finish(self) -> None:
            await trio.sleep(self.request)

    server = QueueServer(Handler)
    async with server.running():
        server.put(4, 6)
        await wait_until(lambda: len(server.requests) == 2)
        await server.shutdown()
    assert [(ended.time, ended.timeouts) for ended in server.ended()] == [(4, ()), (5, (Timeout.FINISH,))]


async def test_request_timeout_when_the_request_ended_in_time_then_the_next_of_its_task_is_not_touched(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A task that serves one request after another is never cancelled for one that it had before."""
    tasks: set[trio.lowlevel.Task] = set()

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        tasks.add(trio.lowlevel.current_task())
        await trio.sleep(1.9)

    server = QueueServer(handler, request_timeout=2)
    async with server.running():
        for request in range(10):
            server.put(request)
            await trio.sleep(1.95)
        server.request_timeout = None
        server.put("long")
        await trio.sleep(100)
        assert [(ended.outcome, ended.timeouts) for ended in server.ended()] == [(Outcome.FINISHED, ())] * 11
    assert len(tasks) == 1  # or this shows nothing
    assert_accounted(server)


async def test_request_timeout_when_it_fired_then_its_task_serves_no_other_request(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Even where the handler swallowed the cancellation and returned: the next one is served in full."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        with contextlib.suppress(BaseException if request == "swallows" else ValueError):
            await trio.sleep(3 if request == "swallows" else 1)

    server = QueueServer(handler, request_timeout=2)
    async with server.running():
        server.put("swallows")
        await trio.sleep(5)
        server.put("next")
        await trio.sleep(100)
        assert [(ended.time, ended.outcome, ended.timeouts) for ended in server.ended()] == [
            (2, Outcome.FINISHED, (Timeout.REQUEST,)),
            (6, Outcome.FINISHED, ()),
        ]
    assert_accounted(server)


async def test_p9_long_request_timeouts_of_short_requests_do_not_pile_up() -> None:
    """After ten thousand requests, what watches the time has no more than a few entries left."""
    count = 10_000
    most = 0
    server = QueueServer(at_once, request_timeout=3600)
    server.add_observer(lambda event: None)
    heap = server._engine.deadlines
    async with server.running():
        server.put(*range(count))
        while len(server.closed) < count:
            await trio.lowlevel.checkpoint()
            most = max(most, len(heap._heap))
    assert most <= 256
    assert server.statistics().finished == count


async def test_request_timeout_in_a_drain_then_the_earlier_end_holds(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A request keeps its timeout in the grace period; only those that it ends have it in their events."""
    server = QueueServer(forever, request_timeout=10)
    async with server.running():
        server.put("early")
        await trio.sleep(6)
        server.put("late")
        await wait_until(lambda: len(server.requests) == 2)
        report = await server.shutdown(7)
    assert (report.cancelled, report.duration) == (2, 7)
    assert [(ended.time, ended.timeouts) for ended in server.ended()] == [(10, (Timeout.REQUEST,)), (13, ())]
    assert_accounted(server, report)
