"""P1: what is closed at the end of a request and of a server, and when."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
import trio
import trio.testing
from harness import client_of, wait_until

import trioserver

from .fakes import QueueServer, assert_accounted, current_error, forever


async def test_p1_shutdown_returns_when_the_last_request_has_been_closed() -> None:
    """The report comes after the last handler's clean-up and the closing of its request."""
    cleaning, clean = trio.Event(), trio.Event()

    async def handler(request: int, client_address: str, server: QueueServer) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                cleaning.set()
                await clean.wait()

    server = QueueServer(handler)
    reports: list[trioserver.ShutdownReport] = []

    async def shut_down() -> None:
        reports.append(await server.shutdown())
        assert server.closed == [1]

    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        server.put(1)
        await wait_until(lambda: server.requests)
        nursery.start_soon(shut_down)
        await cleaning.wait()
        await trio.testing.wait_all_tasks_blocked()
        assert reports == []
        clean.set()
    assert [report.cancelled for report in reports] == [1]


async def test_p1_a_stream_is_closed_when_an_overridden_close_request_does_nothing(io_path: str) -> None:
    """The server does not depend on a subclass to close the connection."""

    class Forgetful(trioserver.TCPServer):
        async def shutdown_request(self, request: trioserver.RequestStream) -> None:
            pass

        async def close_request(self, request: trioserver.RequestStream) -> None:
            pass

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        pass

    async with Forgetful(("127.0.0.1", 0), handler).running() as server:
        async with client_of(server) as client:
            assert await client.receive_some() == b""


@pytest.mark.parametrize("hook", ["shutdown_request", "close_request"])
async def test_p1_an_error_of_a_closing_hook_is_reported_and_the_stream_closed(hook: str) -> None:
    """A closing hook that raises is a failed request, not a connection that stays."""
    errors: list[BaseException] = []

    class Broken(trioserver.TCPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            errors.append(current_error())

    async def fail(self: Broken, request: Any) -> NoReturn:
        raise ValueError(hook)

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        pass

    setattr(Broken, hook, fail)
    async with Broken(("127.0.0.1", 0), handler).running() as server:
        async with client_of(server) as client:
            assert await client.receive_some() == b""
        report = await server.shutdown(None)
    assert len(errors) == report.failed == 1


async def test_p1_the_listener_stays_open_when_the_caller_opened_it() -> None:
    """Whoever opens a server closes it: after `shutdown` it can be served again on the same address."""

    async with trioserver.TCPServer(("127.0.0.1", 0), forever) as server:
        address = server.server_address
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                await nursery.start(server.serve_forever)
                async with client_of(server):
                    await wait_until(lambda: server.requests)
                    await server.shutdown()
            assert server.sockets
            assert server.server_address == address
    assert server.sockets == ()


async def test_p1_shutdown_returns_when_an_observer_of_its_end_exits() -> None:
    """An observer that calls ``sys.exit()`` at the very end lets nobody wait for ever."""
    server = QueueServer(forever)

    def leave(event: trioserver.ServerEvent) -> None:
        if isinstance(event, trioserver.ServerStopped):
            raise SystemExit(4)

    server.add_observer(leave)
    raised: list[BaseException] = []

    async def serve(task_status: trio.TaskStatus[Any]) -> None:
        try:
            await server.serve_forever(task_status=task_status)
        except SystemExit as error:
            raised.append(error)

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        server.put(1)
        await wait_until(lambda: server.requests)
        report = await server.shutdown()
    assert len(raised) == 1
    assert_accounted(server, report)
