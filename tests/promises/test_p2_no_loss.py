"""P2: no cancellation and no Ctrl-C drops a connection between accept and its task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
import trio.testing
from harness import client_of, wait_until

import trioserver

from .fakes import QueueServer, ScriptedServer, assert_accounted, at_once, forever

if TYPE_CHECKING:
    from trio.lowlevel import Task


class Steps(trio.abc.Instrument):
    """Calls a function before the k-th step of any task; counts the steps."""

    def __init__(self, k: int, function: Any) -> None:
        self.k = k
        self.function = function
        self.count = 0

    def before_task_step(self, task: Task) -> None:
        self.count += 1
        if self.count == self.k:
            self.function()


async def test_p2_every_accepted_connection_is_registered_when_cancelled_at_any_step(io_path: str) -> None:
    """Whenever the cancellation comes, as many requests end as connections were accepted."""

    class Counting(trioserver.TCPServer):
        accepted = 0

        async def get_request(self) -> tuple[trioserver.RequestStream, Any]:
            request = await super().get_request()
            self.accepted += 1
            return request

    done = False
    k = 0
    while not done:
        k += 1
        server = Counting(("127.0.0.1", 0), at_once)
        scope = trio.CancelScope()
        steps = Steps(k, scope.cancel)

        async def connect() -> None:
            for _ in range(2):
                async with client_of(server):
                    await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            trio.lowlevel.add_instrument(steps)
            with scope:
                with trio.CancelScope(shield=False):
                    async with trio.open_nursery() as inner:
                        inner.start_soon(connect)
            server.request_shutdown()
            trio.lowlevel.remove_instrument(steps)
            done = not scope.cancelled_caught
        statistics = server.statistics()
        assert statistics.accepted == server.accepted
        assert statistics.accepted == statistics.finished + statistics.cancelled
    assert k > 10


async def test_p2_a_request_is_closed_when_it_was_taken_as_the_cancellation_came() -> None:
    """A `get_request` that returns although it was cancelled has its request served, cancelled and closed."""
    scope = trio.CancelScope()

    class Late(QueueServer):
        async def get_request(self) -> tuple[Any, Any]:
            taken = await super().get_request()
            scope.cancel()
            return taken

    server = Late(forever)
    server.put(1, 2, 3)
    with scope:
        await server.serve_forever()
    assert server.taken == [1]
    assert server.statistics().cancelled == 1
    assert_accounted(server)


async def test_p2_no_more_is_taken_once_a_shutdown_was_asked_for() -> None:
    """A server that never has to wait for a request takes none after a shutdown, though it passes no checkpoint."""
    server = ScriptedServer(range(1000), at_once)

    def stop(event: trioserver.ServerEvent) -> None:
        if isinstance(event, trioserver.RequestAccepted) and event.request_id == 3:
            server.request_shutdown(None)

    server.add_observer(stop)
    await server.serve_forever()
    assert server.taken == [0, 1, 2]
    assert_accounted(server)


async def test_p2_an_idle_keep_alive_ends_when_its_connection_was_accepted_as_the_drain_began(
    io_path: str,
) -> None:
    """A connection that was taken off the backlog at the last moment does not hold up a drain without bound."""
    reports: list[trioserver.ShutdownReport] = []

    class Late(trioserver.TCPServer):
        async def get_request(self) -> tuple[trioserver.RequestStream, Any]:
            taken = await super().get_request()
            self.request_shutdown(None)
            return taken

    async def handler(request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
        assert not await request.wait_request()

    async with trio.open_nursery() as nursery:
        server = Late(("127.0.0.1", 0), handler)
        await nursery.start(server.serve_forever)
        async with client_of(server) as client:
            assert await client.receive_some() == b""
            reports.append(await server.shutdown(None))
    assert [report.finished for report in reports] == [1]
