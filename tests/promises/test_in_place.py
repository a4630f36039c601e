"""Requests that are served in place, without a task: counted, told and timed as any other."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import trio
import trio.testing
from harness import wait_until

import trioserver
from trioserver import Outcome

from .fakes import QueueServer
from .in_place import InPlace, assert_counted, fail_for


async def test_in_place_then_requests_are_served_in_order_and_no_task_is_made() -> None:
    """By `handle_in_place` alone: neither a handler nor a hook of the request's task is called."""
    tasks: set[trio.lowlevel.Task] = set()
    current: list[Any] = []

    def function(request: Any) -> None:
        tasks.add(trio.lowlevel.current_task())
        current.append(server.current_request())

    server = InPlace(function, *range(100))
    async with server.running():
        await wait_until(lambda: len(server.served) == 100)
        server.put("later")
        await wait_until(lambda: len(server.served) == 101)
        assert server.requests == ()
    assert server.served == [*range(100), "later"]
    assert len(tasks) == 1
    assert set(current) == {None}
    assert server.closed == []
    assert_counted(server, finished=101)


async def test_p3_in_place_then_events_and_report_are_those_of_any_request() -> None:
    """Accepted, then ended, in pairs, by ids that count up; the bytes are the request's own count."""

    class Counting:
        bytes_received = 7

    server = InPlace(lambda request: None, Counting(), Counting())
    async with server.running():
        await wait_until(lambda: len(server.served) == 2)
        report = await server.shutdown()
    assert (report.accepted, report.finished) == (2, 2)
    pairs = [
        e for e in server.recorder if isinstance(e, (trioserver.RequestAccepted, trioserver.RequestEnded))
    ]
    assert [type(event).__name__ for event in pairs] == ["RequestAccepted", "RequestEnded"] * 2
    assert [event.request_id for event in pairs] == [1, 1, 2, 2]
    for ended in server.ended():
        assert (ended.outcome, ended.error, ended.timeouts) == (Outcome.FINISHED, None, ())
        assert (ended.bytes_received, ended.bytes_sent) == (7, 0)
        assert ended.duration >= 0
    assert server.statistics().bytes_received == 14
    assert_counted(server, finished=2)


async def test_p10_in_place_when_there_are_many_then_others_run_after_each_batch() -> None:
    """There is a checkpoint after 64 requests, however many are at hand."""
    turns: list[int] = []
    server = InPlace(lambda request: None, *range(1000))

    async def other() -> None:
        while len(server.served) < 1000:
            turns.append(len(server.served))
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await nursery.start(server.serve_forever)
        await wait_until(lambda: len(server.served) == 1000)
        server.request_shutdown()
    turns.append(1000)
    # Twice: once at the end of one turn of the scheduler, and once at the beginning of the next.
    assert max(after - before for before, after in pairwise(turns)) <= 2 * 64


async def test_in_place_when_a_shutdown_is_asked_for_in_the_handler_then_no_more_are_taken() -> None:
    """It is synchronous, and holds from that very request on."""

    def function(request: Any) -> None:
        if request == 3:
            server.request_shutdown()

    server = InPlace(function, *range(10))
    await server.serve_forever()
    assert server.served == [0, 1, 2, 3]
    assert_counted(server, finished=4)


async def test_in_place_by_handle_request_then_exactly_one_is_served() -> None:
    """And when it fails, its error is handled before that returns."""
    server = InPlace(fail_for(2), 1, 2, 3)
    for served in ([1], [1, 2], [1, 2, 3]):
        await server.handle_request()
        assert server.served == served
    assert [str(error) for error in server.errors] == ["2"]
    assert_counted(server, finished=2, failed=1)


async def test_in_place_then_service_actions_are_called_after_each_batch() -> None:
    """As for requests with tasks."""
    calls: list[int] = []

    class Server(InPlace):
        async def service_actions(self) -> None:
            calls.append(len(self.served))

    server = Server(lambda request: None, poll_interval=1e6)
    async with server.running():
        for request in (1, 2, 3):
            await trio.testing.wait_all_tasks_blocked()
            server.put(request)
        await trio.testing.wait_all_tasks_blocked()
    assert calls == [1, 2, 3]


async def test_in_place_when_request_timeout_is_set_then_it_has_nothing_to_do(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Such requests take no time; not even ``0`` cancels one."""
    server = InPlace(fail_for(2), 1, 2, request_timeout=0)
    async with server.running():
        await trio.sleep(5)
    assert [ended.timeouts for ended in server.ended()] == [(), ()]
    assert_counted(server, finished=1, failed=1)


async def test_serves_in_place_is_asked_again_each_time_a_server_is_served() -> None:
    """A property of a subclass may decide by what the server was given."""

    class Either(QueueServer):
        in_place = False

        @property
        def serves_in_place(self) -> bool:
            return self.in_place

        def handle_in_place(self, request: Any, client_address: Any) -> None:
            served.append(("in place", request))

    served: list[tuple[str, Any]] = []

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        served.append(("task", request))

    server = Either(handler)
    for request in (1, 2):
        server.put(request)
        await server.handle_request()
        server.in_place = True
    assert served == [("task", 1), ("in place", 2)]
