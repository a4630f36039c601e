"""P2: no cancellation and no Ctrl-C drops a connection between accept and its task."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio
import trio.testing
from harness import client_of

import trioserver
from trioserver._transports.endpoint import KernelListener

from .fakes import AtStep, QueueServer, ScriptedServer, assert_accounted, at_once, forever


@pytest.fixture
def accepted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The endpoint of every connection that accept(2) returned, whatever became of it afterwards."""
    endpoints: list[Any] = []
    accept_nowait = KernelListener.accept_nowait

    def accept(self: KernelListener) -> Any:
        taken = accept_nowait(self)
        endpoints.append(taken[0])
        return taken

    monkeypatch.setattr(KernelListener, "accept_nowait", accept)
    return endpoints


async def cancelled_at_step(k: int, accepted: list[Any]) -> int:
    """Serve, connect three times, cancel at step k; returns how many steps there were."""
    accepted.clear()
    server = trioserver.TCPServer(("127.0.0.1", 0), at_once)
    scope = trio.CancelScope()
    steps = AtStep(k, scope.cancel)

    async def serve(task_status: trio.TaskStatus[Any]) -> None:
        with scope:
            await server.serve_forever(task_status=task_status)

    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve)
        trio.lowlevel.add_instrument(steps)
        for _ in range(3):
            with trio.socket.socket() as sock, contextlib.suppress(OSError):
                await sock.connect(address)
                await sock.recv(1)
        trio.lowlevel.remove_instrument(steps)
        scope.cancel()
    assert server.statistics().accepted == len(accepted)
    assert [endpoint.socket.fileno() for endpoint in accepted] == [-1] * len(accepted)
    return steps.count


async def test_p2_every_accepted_connection_is_a_request_when_cancelled_at_any_step(
    io_path: str, accepted: list[Any]
) -> None:
    """Whenever the cancellation comes, what accept(2) returned became a request and was closed."""
    k = 1
    while await cancelled_at_step(k, accepted) >= k:
        k += 1
    assert len(accepted) == 3
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
    """A server that never waits for a request takes none after a shutdown, though it passes no checkpoint."""
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
    """A connection that was accepted at the last moment does not hold up a drain without bound."""
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
