"""``server.current_request()``: the record of the request that the calling task serves."""

from __future__ import annotations

from typing import Any

import trio
import trio.testing
from harness import Recorder, client_of, receive_all, wait_until

import trioserver

from ..promises.fakes import QueueServer, assert_accounted, at_once, forever

HOOKS = (
    "verify_request",
    "handshake_request",
    "process_request",
    "shutdown_request",
    "close_request",
)


class Everywhere(QueueServer):
    """Notes what `current_request` says in each hook, by its name."""

    def __init__(self, handler: Any) -> None:
        super().__init__(handler)
        self.seen: dict[str, int | None] = {}

    def note(self, where: str) -> None:
        record = self.current_request()
        self.seen[where] = None if record is None else record.id

    async def get_request(self) -> tuple[Any, Any]:
        self.note("get_request")
        return await super().get_request()

    async def verify_request(self, request: Any, client_address: Any) -> bool:
        self.note("verify_request")
        return True

    async def handshake_request(self, request: Any, client_address: Any) -> None:
        self.note("handshake_request")

    async def process_request(self, request: Any, client_address: Any) -> None:
        self.note("process_request")
        await self.finish_request(request, client_address)

    async def shutdown_request(self, request: Any) -> None:
        self.note("shutdown_request")
        await self.close_request(request)

    async def close_request(self, request: Any) -> None:
        self.note("close_request")
        await super().close_request(request)

    async def handle_error(self, request: Any, client_address: Any) -> None:
        self.note("handle_error")

    async def service_actions(self) -> None:
        self.note("service_actions")


async def test_current_request_in_every_hook_of_a_request_then_it_is_its_record() -> None:
    """Also in those around the handler; in the accept loop and beside it there is none."""

    async def handler(request: Any, client_address: Any, server: Everywhere) -> None:
        server.note("handler")
        raise ValueError

    server = Everywhere(handler)
    assert server.current_request() is None
    async with server.running():
        for request in ("a", "b"):
            server.seen.clear()
            server.put(request)
            await wait_until(lambda: "close_request" in server.seen and "service_actions" in server.seen)
            await trio.testing.wait_all_tasks_blocked()
            expected = {"a": 1, "b": 2}[request]  # in one task, used twice
            outside = {"get_request", "service_actions"}
            assert server.seen == {
                name: None if name in outside else expected
                for name in (*outside, *HOOKS, "handler", "handle_error")
            }
        assert server.current_request() is None


async def test_current_request_in_child_tasks_and_their_children_then_it_is_the_requests() -> None:
    """However deep the nurseries of a handler are, and each request its own."""
    seen: list[tuple[str, Any]] = []

    async def grandchild(request: str, server: QueueServer) -> None:
        record = server.current_request()
        assert record is not None
        seen.append((request, record.request))
        await trio.sleep_forever()

    async def child(request: str, server: QueueServer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(grandchild, request, server)

    async def handler(request: str, client_address: Any, server: QueueServer) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child, request, server)
            nursery.start_soon(child, request, server)

    server = QueueServer(handler)
    async with server.running():
        server.put("a", "b")
        await wait_until(lambda: len(seen) == 4)
    assert sorted(seen) == [("a", "a"), ("a", "a"), ("b", "b"), ("b", "b")]


async def test_current_request_in_a_task_of_a_foreign_nursery_then_there_is_none() -> None:
    """A handler may start a task elsewhere, which does not end with the request and is not of it."""
    seen: list[Any] = []

    async def elsewhere(server: QueueServer) -> None:
        seen.append(server.current_request())

    async def handler(request: Any, client_address: Any, server: QueueServer) -> None:
        nursery.start_soon(elsewhere, server)
        await trio.sleep_forever()

    server = QueueServer(handler)
    async with trio.open_nursery() as nursery, server.running():
        server.put(1)
        await wait_until(lambda: seen)
    assert seen == [None]


async def test_current_request_from_a_worker_thread_of_a_handler_then_it_is_the_requests() -> None:
    """Through ``trio.from_thread``, whose calls run in the task that waits for the thread."""
    seen: list[int] = []

    def work(server: QueueServer) -> None:
        record = trio.from_thread.run_sync(server.current_request)
        assert record is not None
        seen.append(record.id)

    async def handler(request: Any, client_address: Any, server: QueueServer) -> None:
        await trio.to_thread.run_sync(work, server)

    server = QueueServer(handler)
    async with server.running():
        server.put("a")
        await wait_until(lambda: len(server.closed) == 1)
        server.put("b")
        await wait_until(lambda: len(server.closed) == 2)
    assert seen == [1, 2]
    assert server.errors == []


async def test_current_request_of_another_server_then_there_is_none() -> None:
    """Each server knows its own requests only."""
    seen: list[Any] = []

    async def handler(request: Any, client_address: Any, server: QueueServer) -> None:
        seen.append(other.current_request())

    server, other = QueueServer(handler), QueueServer(forever)
    async with server.running(), other.running():
        other.put(1)
        server.put(1)
        await wait_until(lambda: seen)
    assert seen == [None]


async def test_current_request_when_it_ended_then_it_is_nobodys() -> None:
    """In an observer that is told of the end, and after it."""
    told: list[tuple[str, Any]] = []
    server = QueueServer(at_once)
    server.add_observer(lambda event: told.append((type(event).__name__, server.current_request())))
    async with server.running():
        server.put(1)
        await wait_until(lambda: server.closed)
        await trio.testing.wait_all_tasks_blocked()
    assert [current for name, current in told if name.startswith("Request")] == [None, None]
    assert_accounted(server)


async def test_current_request_gives_a_handler_its_id_and_lets_it_cancel_itself() -> None:
    """The id is the one that the events carry."""
    ids: list[int] = []

    class Handler(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            record = self.server.current_request()
            assert record is not None
            assert record.request is self.request
            ids.append(record.id)
            record.cancel()
            await trio.sleep_forever()

    server = trioserver.TCPServer(("127.0.0.1", 0), Handler)
    server.add_observer(recorder := Recorder())
    async with server.running(), client_of(server) as client:
        assert await receive_all(client) == b""
    (ended,) = (event for event in recorder.events if isinstance(event, trioserver.RequestEnded))
    assert (ids, ended.outcome) == ([ended.request_id], trioserver.Outcome.CANCELLED)
