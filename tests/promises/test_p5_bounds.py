"""P5: a shutdown ends within its grace period and the handlers' ``finish_timeout``, whatever clients do."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from harness import client_of, receive_all, receive_exactly, wait_until

import trioserver

from .fakes import QueueServer, assert_accounted, forever


class Stubborn(trioserver.BaseRequestHandler[Any]):
    """Ignores the drain, and never finishes."""

    finish_timeout = 3.0

    async def handle(self) -> None:
        await trio.sleep_forever()

    async def finish(self) -> None:
        await trio.sleep_forever()


@pytest.mark.parametrize("grace", [0.0, 1.5, 60.0])
async def test_p5_shutdown_takes_the_grace_and_the_finish_timeout_of_stubborn_handlers(
    autojump_clock: trio.testing.MockClock, grace: float
) -> None:
    """To the second: all of them are cancelled when the grace period ends, and finish side by side."""
    server = QueueServer(Stubborn)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        server.put(*range(5))
        await wait_until(lambda: len(server.requests) == 5)
        begin = trio.current_time()
        report = await server.shutdown(grace)
        assert trio.current_time() - begin == pytest.approx(grace + Stubborn.finish_timeout)
    assert report.duration == pytest.approx(grace + Stubborn.finish_timeout)
    assert report.cancelled == 5
    assert_accounted(server, report)


async def sleeper(request: float, client_address: Any, server: Any) -> None:
    """Takes as many seconds as the request says."""
    await trio.sleep(request)


async def test_p5_shutdown_returns_as_soon_as_the_last_request_is_done(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The grace period is a bound and no delay; who ends within it has finished."""
    server = QueueServer(sleeper)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        server.put(1.0, 2.0, 30.0)
        await wait_until(lambda: len(server.requests) == 3)
        report = await server.shutdown(10)
        assert trio.current_time() == pytest.approx(10, abs=0.1)
        assert (report.finished, report.cancelled) == (2, 1)

        nursery.start_soon(server.serve_forever)
        server.put(4.0)
        await wait_until(lambda: server.requests)
        begin = trio.current_time()
        report = await server.shutdown(10)
        assert trio.current_time() - begin == pytest.approx(4)
        assert report.finished == 1
    assert_accounted(server)


@pytest.mark.parametrize(("first", "second"), [(60.0, 5.0), (None, 5.0), (5.0, 60.0), (5.0, None)])
async def test_p5_the_earliest_end_holds_when_shutdown_is_asked_for_again(
    autojump_clock: trio.testing.MockClock, first: float | None, second: float | None
) -> None:
    """A second, shorter shutdown wins over the first; a longer one does not extend it."""
    server = QueueServer(forever)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        server.put(1)
        await wait_until(lambda: server.requests)
        begin = trio.current_time()
        server.request_shutdown(first)
        await server.shutdown(second)
        assert trio.current_time() - begin == pytest.approx(5)
    assert_accounted(server)


async def test_p5_a_cancelled_shutdown_gives_up_the_grace_period(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Who no longer waits for the end of a drain wants the end: the requests are cancelled at once."""
    server = QueueServer(forever)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        server.put(1)
        await wait_until(lambda: server.requests)
        begin = trio.current_time()
        with trio.move_on_after(2) as scope:
            await server.shutdown(None)
        assert scope.cancelled_caught
    assert trio.current_time() - begin == pytest.approx(2)
    assert_accounted(server)


async def test_p5_an_outer_cancellation_ends_a_drain_without_bound(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """The drain is inside the scope of who serves."""
    server = QueueServer(forever)
    server.put(1)
    with trio.move_on_after(7) as scope:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            await wait_until(lambda: server.requests)
            server.request_shutdown(None)
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(7)
    assert_accounted(server)


async def test_p5_an_outer_cancellation_is_raised_though_the_grace_period_ends_with_it() -> None:
    """The requests end of their own server's scope then, which says nothing of the one around it."""
    server = QueueServer(forever)
    server.put(1, 2)
    served = False
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:

            async def serve() -> None:
                nonlocal served
                await server.serve_forever()
                served = True

            nursery.start_soon(serve)
            await wait_until(lambda: len(server.requests) == 2)
            server.request_shutdown(None)
            await trio.testing.wait_all_tasks_blocked()
            server.request_shutdown(0)
            scope.cancel()
    assert scope.cancelled_caught
    assert not served
    assert_accounted(server)


async def test_p5_idle_connections_end_at_once_when_a_drain_begins(io_path: str) -> None:
    """Connections between two requests do not use up the grace period: it may be without bound."""

    class KeepAlive(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            while await self.wait_request():
                await self.wfile.write(await self.rfile.readline())

    async with trioserver.TCPServer(("127.0.0.1", 0), KeepAlive).running() as server:
        async with client_of(server) as used, client_of(server) as fresh:
            await used.send_all(b"one\n")
            assert await receive_exactly(used, 4) == b"one\n"
            await wait_until(
                lambda: [record.state for record in server.requests] == [trioserver.RequestState.IDLE] * 2
            )
            report = await server.shutdown(None)
            assert await receive_all(used) == await receive_all(fresh) == b""
    assert report.finished == 2


async def test_p5_every_request_in_flight_is_answered_when_a_drain_begins(io_path: str) -> None:
    """N in flight, N answered, completely; also those whose bytes have come but were not looked at."""
    go = trio.Event()
    count = 20

    class KeepAlive(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            while await self.wait_request():
                line = await self.rfile.readline()
                await go.wait()
                await self.wfile.write(line * 1000)

    answers: list[bytes] = []

    async def client(server: trioserver.TCPServer, number: int) -> None:
        async with client_of(server) as stream:
            await stream.send_all(b"%3d\n" % number)
            answers.append(await receive_all(stream))

    async with trio.open_nursery() as nursery:
        server = trioserver.TCPServer(("127.0.0.1", 0), KeepAlive)
        await nursery.start(server.serve_forever)
        for number in range(count):
            nursery.start_soon(client, server, number)
        await wait_until(lambda: server.statistics().bytes_received == 4 * count)
        server.request_shutdown(None)
        go.set()
        report = await server.shutdown(None)
    assert sorted(answers) == [b"%3d\n" % number * 1000 for number in range(count)]
    assert report.finished == count


async def test_p5_a_client_that_reads_nothing_does_not_hold_up_a_shutdown(io_path: str) -> None:
    """A handler that waits for room to write is cancelled like any other."""

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        while True:
            await request.send_all(bytes(1 << 20))

    async with trioserver.TCPServer(("127.0.0.1", 0), handler).running() as server:
        async with client_of(server):
            await wait_until(lambda: server.statistics().bytes_sent)
            report = await server.shutdown(0.005)
    assert report.cancelled == 1
