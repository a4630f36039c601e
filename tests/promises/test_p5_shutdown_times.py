"""P5: a shutdown is never lost and never deadlocks, whenever it is asked for."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from harness import wait_until

import trioserver
from trioserver import State

from .fakes import QueueServer, ScriptedServer, assert_accounted, at_once, forever


async def test_p5_a_shutdown_before_serving_makes_the_next_serve_return_at_once() -> None:
    """It is kept for the first serve, which accepts nothing, and only for that one."""
    server = QueueServer(at_once)
    server.put(1)
    server.request_shutdown()
    report = await server.shutdown()
    assert report == trioserver.ShutdownReport()
    await server.serve_forever()
    assert server.calls == 0
    assert server.recorder == []
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)  # the second is served
        await wait_until(lambda: server.closed)
        await server.shutdown()
    assert_accounted(server)


async def test_p5_nursery_start_returns_when_a_shutdown_came_before() -> None:
    """``nursery.start`` neither hangs nor raises for a server that never accepts."""
    server = QueueServer(at_once)
    server.request_shutdown()
    async with trio.open_nursery() as nursery:
        assert await nursery.start(server.serve_forever) == "queue"
    assert server.state is State.STOPPED


class SlowResolver(trio.abc.HostnameResolver):
    """A name service that never answers."""

    def __init__(self) -> None:
        self.asked = trio.Event()

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        family: int = 0,
        type: int = 0,
        proto: int = 0,
        flags: int = 0,
    ) -> Any:
        self.asked.set()
        await trio.sleep_forever()
        raise AssertionError

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        raise NotImplementedError


@pytest.mark.parametrize("close", [False, True])
async def test_p5_a_shutdown_during_binding_ends_a_slow_name_resolution(close: bool) -> None:
    """A server that waits for a name service stops like any other, and has started nothing."""
    resolver = SlowResolver()
    trio.socket.set_custom_hostname_resolver(resolver)
    server = trioserver.TCPServer(("slow.example", 0), at_once)
    events: list[trioserver.ServerEvent] = []
    server.add_observer(events.append)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.serve_forever)
        await resolver.asked.wait()
        if close:
            await server.server_close()
        else:
            await server.shutdown(None)
    assert server.state is (State.CLOSED if close else State.STOPPED)
    assert events == []


async def test_p5_a_shutdown_from_server_bind_accepts_nothing() -> None:
    """A hook that gives up while the server is opened is heard, though it passes no checkpoint."""

    class Unsure(ScriptedServer):
        async def server_bind(self) -> None:
            self.request_shutdown()

    server = Unsure([1, 2, 3], at_once)
    await server.serve_forever()
    assert server.taken == []
    assert server.recorder == []


@pytest.mark.parametrize("grace", [0.0, 5.0, None])
async def test_p5_a_shutdown_that_is_asked_for_twice_returns_twice(grace: float | None) -> None:
    """One after the other, at once from two tasks, and after the end: each returns the report."""
    server = QueueServer(at_once)
    reports: list[trioserver.ShutdownReport] = []

    async def shut_down() -> None:
        reports.append(await server.shutdown(grace))

    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        server.put(1)
        await wait_until(lambda: server.closed)
        nursery.start_soon(shut_down)
        nursery.start_soon(shut_down)
        await shut_down()
    await shut_down()
    assert len(reports) == 4
    assert len(set(reports)) == 1
    assert server.names().count("ServerDraining") == 1


async def test_p5_shutdown_from_a_handler_raises_wrong_task_and_stops_nevertheless() -> None:
    """It would wait for itself; it says so, names the other method, and the server stops."""
    caught: list[BaseException] = []

    async def handler(request: Any, client_address: Any, server: QueueServer) -> None:
        for method in (server.shutdown, server.server_close):
            try:
                await method()
            except trioserver.WrongTask as error:
                caught.append(error)

    server = QueueServer(handler)
    server.put(1)
    await server.serve_forever()
    assert ["request_shutdown()" in str(error) for error in caught] == [True, True]
    assert_accounted(server)


async def test_p5_shutdown_from_a_handlers_child_task_raises_wrong_task() -> None:
    """A task that a handler started is waited for, too."""
    caught: list[BaseException] = []

    async def child(server: QueueServer) -> None:
        try:
            await server.shutdown()
        except trioserver.WrongTask as error:
            caught.append(error)

    async def handler(request: Any, client_address: Any, server: QueueServer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child, server)

    server = QueueServer(handler)
    server.put(1)
    await server.serve_forever()
    assert len(caught) == 1


@pytest.mark.parametrize("method", ["shutdown", "request_shutdown", "server_close"])
@pytest.mark.parametrize("hook", ["handler", "get_request", "service_actions", "verify_request"])
async def test_p5_a_hook_may_stop_the_server(hook: str, method: str) -> None:
    """From any hook ``request_shutdown()`` works, and what would deadlock raises; both stop the server."""

    async def stop(server: QueueServer) -> None:
        if method == "request_shutdown":
            server.request_shutdown()
        else:
            with pytest.raises(trioserver.WrongTask):
                await getattr(server, method)()

    class Stopping(QueueServer):
        async def get_request(self) -> tuple[Any, Any]:
            taken = await super().get_request()
            if hook == "get_request":
                with trio.CancelScope(shield=True):
                    await stop(self)
            return taken

        async def service_actions(self) -> None:
            if hook == "service_actions":
                await stop(self)

        async def verify_request(self, request: Any, client_address: Any) -> bool:
            if hook == "verify_request":
                await stop(self)
            return True

    async def handler(request: Any, client_address: Any, server: QueueServer) -> None:
        if hook == "handler":
            await stop(server)
        await trio.sleep_forever()

    server = Stopping(handler, poll_interval=0.001)
    server.put(1)
    await server.serve_forever()
    assert server.statistics().cancelled == 1
    assert_accounted(server)


async def test_p5_a_parent_task_of_the_server_may_shut_it_down() -> None:
    """Only what the server waits for is refused: a sibling in the nursery around it is not."""
    server = QueueServer(forever)
    reports: list[trioserver.ShutdownReport] = []

    async def sibling() -> None:
        await wait_until(lambda: server.requests)
        reports.append(await server.shutdown())

    server.put(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sibling)
        await server.serve_forever()
    assert [report.cancelled for report in reports] == [1]


async def test_request_shutdown_when_called_in_another_thread_then_raises_and_changes_nothing() -> None:
    """It is for the trio thread alone; half a shutdown would stop the server at the next client."""

    async def never(request: object, client_address: object, server: object) -> None: ...

    async with trioserver.TCPServer(("127.0.0.1", 0), never).running() as server:
        with pytest.raises(trioserver.LifecycleError, match="from_thread"):
            await trio.to_thread.run_sync(server.request_shutdown)
        assert server.state is trioserver.State.SERVING
