"""``server.requests``: live records, each of which can be looked at and cancelled alone."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio
import trio.testing
from harness import client_of, receive_all, receive_exactly, wait_until

import trioserver
from trioserver import Outcome, RequestState

from .fakes import QueueServer, assert_accounted, at_once, forever


async def test_a_record_says_in_which_phase_its_request_is() -> None:
    """VERIFYING, RUNNING, CLOSING, and then it is gone."""
    gates = {state: trio.Event() for state in RequestState}

    class Slow(QueueServer):
        async def verify_request(self, request: Any, client_address: Any) -> bool:
            await gates[RequestState.VERIFYING].wait()
            return True

        async def shutdown_request(self, request: Any) -> None:
            await gates[RequestState.CLOSING].wait()
            await self.close_request(request)

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        await gates[RequestState.RUNNING].wait()

    server = Slow(handler)
    async with server.running():
        server.put(1)
        await wait_until(lambda: server.requests)
        (record,) = server.requests
        for state in (RequestState.VERIFYING, RequestState.RUNNING, RequestState.CLOSING):
            await trio.testing.wait_all_tasks_blocked()
            assert record.state is state
            assert state.value in repr(record)
            gates[state].set()
        await wait_until(lambda: not server.requests)
    assert_accounted(server)


async def test_a_record_of_a_connection_knows_idleness_and_bytes(io_path: str) -> None:
    """IDLE between two requests of a persistent connection, with the bytes of both directions so far."""
    go = trio.Event()

    class KeepAlive(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            while await self.wait_request():
                await self.wfile.write(await self.rfile.readline() * 2)
                await go.wait()

    async with trioserver.TCPServer(("127.0.0.1", 0), KeepAlive).running() as server:
        async with client_of(server) as client:
            await wait_until(lambda: [r.state for r in server.requests] == [RequestState.IDLE])
            (record,) = server.requests
            assert record.client_address == client.socket.getsockname()
            assert (record.bytes_received, record.bytes_sent) == (0, 0)
            await client.send_all(b"abc\n")
            assert await receive_exactly(client, 8) == b"abc\nabc\n"
            assert repr(record.state) == repr(RequestState.RUNNING)
            assert (record.bytes_received, record.bytes_sent) == (4, 8)
            go.set()
            await wait_until(lambda: record.state is RequestState.IDLE)
            assert server.statistics().bytes_sent == 8
        await wait_until(lambda: not server.requests)
        statistics = server.statistics()
        assert (statistics.bytes_received, statistics.bytes_sent) == (4, 8)


async def test_a_records_age_is_measured_on_trios_clock(autojump_clock: trio.testing.MockClock) -> None:
    """Seconds since it was accepted; ids count up, the oldest is first."""
    server = QueueServer(forever)
    async with server.running():
        server.put("a")
        await trio.sleep(2)
        server.put("b")
        await trio.sleep(3)
        assert [record.age for record in server.requests] == pytest.approx([5, 3])
        assert [record.id for record in server.requests] == [1, 2]
        assert [record.request for record in server.requests] == ["a", "b"]
    assert_accounted(server)


async def test_cancel_ends_one_request_and_no_other() -> None:
    """Its outcome is CANCELLED, and the neighbours do not notice."""
    server = QueueServer(forever)
    async with server.running():
        server.put(1, 2, 3)
        await wait_until(lambda: len(server.requests) == 3)
        server.requests[1].cancel()
        await wait_until(lambda: server.closed)
        await trio.testing.wait_all_tasks_blocked()
        assert server.closed == [2]
        (ended,) = server.ended()
        assert (ended.request_id, ended.outcome, ended.error) == (2, Outcome.CANCELLED, None)
    assert_accounted(server)


@pytest.mark.parametrize("used_before", [False, True])
async def test_cancel_before_its_first_step_ends_a_request_at_its_first_checkpoint(used_before: bool) -> None:
    """Also in a task that served another request before."""
    steps: list[str] = []

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        if request == "cancelled":
            steps.append("begun")
            await trio.lowlevel.checkpoint()
            steps.append("gone on")

    server = QueueServer(handler)

    def cancel(event: trioserver.ServerEvent) -> None:
        if isinstance(event, trioserver.RequestAccepted) and event.client_address == "client cancelled":
            server.requests[-1].cancel()

    server.add_observer(cancel)
    async with server.running():
        if used_before:
            server.put("first")
            await wait_until(lambda: server.closed)
            await trio.testing.wait_all_tasks_blocked()
        server.put("cancelled")
        await wait_until(lambda: "cancelled" in server.closed)
        assert steps == ["begun"]
        assert server.ended()[-1].outcome is Outcome.CANCELLED
    assert_accounted(server)


async def test_cancel_after_its_end_does_not_touch_the_request_that_uses_its_task() -> None:
    """A record that somebody kept is harmless, though its task serves another one by then."""
    tasks: list[trio.lowlevel.Task] = []

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        tasks.append(trio.lowlevel.current_task())
        if request == "second":
            await trio.sleep_forever()

    kept: list[trioserver.Request[Any]] = []
    server = QueueServer(handler)

    def keep(event: trioserver.ServerEvent) -> None:
        if isinstance(event, trioserver.RequestAccepted):
            kept.extend(server.requests)

    server.add_observer(keep)
    async with server.running():
        server.put("first")
        await wait_until(lambda: server.closed)
        await trio.testing.wait_all_tasks_blocked()
        server.put("second")
        await wait_until(lambda: len(tasks) == 2)
        assert tasks[0] is tasks[1]
        kept[0].cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert [record.request for record in server.requests] == ["second"]
        assert not server.requests[0].cancel_called
    kept[1].cancel()
    assert_accounted(server)


async def test_the_task_of_a_cancelled_request_is_not_used_again() -> None:
    """Its scope is cancelled for good: the next request gets another."""
    tasks: list[trio.lowlevel.Task] = []

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        tasks.append(trio.lowlevel.current_task())
        if request == "late":  # cancelled, and it ends without noticing
            server.requests[0].cancel()
        elif request == "waits":
            with contextlib.suppress(trio.Cancelled):
                server.requests[0].cancel()
                await trio.sleep_forever()
        else:
            await trio.lowlevel.checkpoint()

    server = QueueServer(handler)
    async with server.running():
        for count, request in enumerate(["late", "next", "waits", "last"], 1):
            server.put(request)
            await wait_until(lambda: len(server.closed) == count)  # noqa: B023
            await trio.testing.wait_all_tasks_blocked()
    assert tasks[1] is not tasks[0]
    assert tasks[3] is not tasks[2]
    assert [event.outcome for event in server.ended()] == [Outcome.FINISHED] * 4
    assert_accounted(server)


async def test_a_cancelled_connection_is_closed_for_its_client(io_path: str) -> None:
    """The client sees the end, and the others are served on."""

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        await request.send_all(await request.receive_some(5))

    async with trioserver.TCPServer(("127.0.0.1", 0), handler).running() as server:
        async with client_of(server) as first:
            await wait_until(lambda: len(server.requests) == 1)
            async with client_of(server) as second:
                await wait_until(lambda: len(server.requests) == 2)
                server.requests[0].cancel()
                assert await receive_all(first) == b""
                await second.send_all(b"still")
                assert await receive_all(second) == b"still"


async def test_statistics_are_a_frozen_snapshot() -> None:
    """What was read does not change with the server."""
    server = QueueServer(at_once, max_requests=7)
    before = server.statistics()
    async with server.running():
        server.put(1)
        await wait_until(lambda: server.closed)
        now = server.statistics()
    assert (before.accepted, before.state, before.max_requests) == (0, trioserver.State.NEW, 7)
    assert (now.accepted, now.finished, now.active) == (1, 1, 0)
    with pytest.raises(AttributeError):
        now.accepted = 5  # type: ignore[misc]
