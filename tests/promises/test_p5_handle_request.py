"""P5: serving one request, and serving again, stop like everything else."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from harness import client_of, receive_all, receive_exactly, wait_until

import trioserver
from trioserver import State

from .fakes import QueueServer, ScriptedServer, assert_accounted, at_once, emfile, forever


class TimeoutServer(QueueServer):
    """Counts its timeouts."""

    timeouts = 0

    async def handle_timeout(self) -> None:
        self.timeouts += 1


async def test_p5_handle_request_returns_when_its_request_is_done() -> None:
    """It takes one of two, and returns after that one was closed."""
    server = TimeoutServer(at_once)
    server.put(1, 2)
    await server.handle_request()
    assert server.closed == [1]
    await server.handle_request()
    assert server.closed == [1, 2]
    assert server.timeouts == 0
    assert_accounted(server)


@pytest.mark.parametrize("timeout", [0.0, 1.5])
async def test_p5_handle_request_calls_handle_timeout_when_nothing_came(
    autojump_clock: trio.testing.MockClock, timeout: float
) -> None:
    """After ``timeout`` seconds, once, and outside of the run."""
    server = TimeoutServer(at_once, timeout=timeout)
    await server.handle_request()
    assert trio.current_time() == pytest.approx(timeout)
    assert server.timeouts == 1
    assert server.state is State.STOPPED


async def test_p5_the_timeout_of_handle_request_is_not_the_requests(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """It bounds the wait for the request and not its handler."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        await trio.sleep(100)

    server = TimeoutServer(handler, timeout=1.0)
    server.put(1)
    await server.handle_request()
    assert server.timeouts == 0
    assert server.statistics().finished == 1
    assert_accounted(server)


async def test_p5_the_timeout_of_handle_request_counts_while_accept_backs_off(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Exhaustion does not make it wait longer than it was told."""
    server = ScriptedServer([emfile() for _ in range(100)], at_once, timeout=5.0)
    await server.handle_request()
    assert trio.current_time() == pytest.approx(5)


@pytest.mark.parametrize("running", [False, True])
async def test_p5_a_shutdown_ends_handle_request(running: bool) -> None:
    """While it waits for a request as while one runs; `handle_timeout` is not called for that."""
    server = TimeoutServer(forever, timeout=1000.0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.handle_request)
        if running:
            server.put(1)
            await wait_until(lambda: server.requests)
        await trio.testing.wait_all_tasks_blocked()
        report = await server.shutdown()
    assert report.cancelled == running
    assert server.timeouts == 0
    assert_accounted(server, report)


async def test_p5_handle_request_is_no_drain_for_the_request_that_it_serves(io_path: str) -> None:
    """A keep-alive handler is told to end by a shutdown, and not by being the only request."""

    class KeepAlive(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            while await self.wait_request():
                await self.wfile.write(await self.rfile.readline())

    async with trioserver.TCPServer(("127.0.0.1", 0), KeepAlive) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.handle_request)
            async with client_of(server) as client:
                for _ in range(3):
                    await wait_until(
                        lambda: [r.state for r in server.requests] == [trioserver.RequestState.IDLE]
                    )
                    assert server.state is State.SERVING
                    await client.send_all(b"line\n")
                    assert await receive_exactly(client, 5) == b"line\n"
                await server.shutdown(None)
                assert await receive_all(client) == b""


async def test_p5_a_server_can_be_served_again_after_each_way_of_stopping() -> None:
    """A stopped server is as good as a new one, until it is closed."""
    server = QueueServer(at_once)
    for number in range(3):
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            server.put(number)
            await wait_until(lambda: number in server.closed)  # noqa: B023
            nursery.cancel_scope.cancel() if number == 1 else server.request_shutdown()
        assert server.state is State.STOPPED
    await server.server_close()
    with pytest.raises(trioserver.ServerClosed):
        await server.serve_forever()
    assert_accounted(server)


async def test_p5_a_second_serve_is_refused_and_leaves_the_first_alone(io_path: str) -> None:
    """`AlreadyServing` is raised to whoever comes second; the first still serves."""

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        await request.send_all(await request.receive_some(1))

    async with trioserver.TCPServer(("127.0.0.1", 0), handler).running() as server:
        for serve in (server.serve_forever, server.handle_request, server.__aenter__):
            with pytest.raises(trioserver.AlreadyServing):
                await serve()
        async with client_of(server) as client:
            await wait_until(lambda: server.requests)
            await client.send_all(b"x")
            assert await receive_all(client) == b"x"


async def test_p5_server_close_ends_a_server_that_is_served_again_and_again() -> None:
    """A loop around `serve_forever` can not slip in another run before the server is closed."""
    server = QueueServer(forever)

    async def again() -> None:
        with pytest.raises(trioserver.ServerClosed):
            while True:
                await server.serve_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(again)
        await wait_until(lambda: server.calls)
        await server.server_close()
    assert server.state is State.CLOSED


@pytest.mark.parametrize("cancelled", [False, True])
async def test_p5_server_close_waits_for_the_requests_also_when_it_is_cancelled(cancelled: bool) -> None:
    """Everything is closed when it returns or raises; closing twice is fine."""
    server = QueueServer(forever)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        server.put(1)
        await wait_until(lambda: server.requests)
        with trio.CancelScope() as scope:
            if cancelled:
                scope.cancel()
            await server.server_close()
        assert scope.cancelled_caught == cancelled
        assert server.state is State.CLOSED
        assert server.closed == [1]
        await server.server_close()
    assert_accounted(server)
