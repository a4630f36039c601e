"""Context variables: each request begins with the server's, and leaves nothing behind in its task."""

from __future__ import annotations

import contextvars
from typing import Any

import trio
import trio.testing
from harness import wait_until
from hypothesis import given, settings
from hypothesis import strategies as st

from .fakes import QueueServer, assert_accounted

application: contextvars.ContextVar[str] = contextvars.ContextVar("application")
mine: contextvars.ContextVar[Any] = contextvars.ContextVar("mine", default=None)


async def test_a_request_sees_the_variables_of_who_serves() -> None:
    """What was set before ``serve_forever`` is there; what is set elsewhere later is not."""
    seen: list[Any] = []

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        seen.append((application.get(), mine.get()))

    server = QueueServer(handler)
    application.set("outer")
    async with server.running():
        mine.set("the test's own")
        application.set("changed by another task")
        for count in (1, 2):
            server.put(count)
            await wait_until(lambda: len(server.closed) == count)  # noqa: B023
            await trio.testing.wait_all_tasks_blocked()
    assert seen == [("outer", None)] * 2
    assert_accounted(server)


async def test_a_task_that_is_used_again_has_nothing_of_its_last_request() -> None:
    """Whatever step of a request set it, the next one does not see it; its own steps do."""
    seen: dict[Any, list[Any]] = {}
    tasks: set[trio.lowlevel.Task] = set()

    class Setting(QueueServer):
        def look(self, request: Any, step: str) -> None:
            tasks.add(trio.lowlevel.current_task())
            seen.setdefault(request, []).append(mine.get())
            mine.set((request, step))

        async def verify_request(self, request: Any, client_address: Any) -> bool:
            self.look(request, "verify")
            await trio.lowlevel.checkpoint()
            return True

        async def shutdown_request(self, request: Any) -> None:
            self.look(request, "shutdown")
            await super().shutdown_request(request)

    async def handler(request: Any, client_address: Any, server: Setting) -> None:
        server.look(request, "handle")

    server = Setting(handler)
    async with server.running():
        for number in range(3):
            server.put(number)
            await wait_until(lambda: len(server.closed) == number + 1)  # noqa: B023
            await trio.testing.wait_all_tasks_blocked()
    assert len(tasks) == 1
    assert seen == {n: [None, (n, "verify"), (n, "handle")] for n in range(3)}
    assert_accounted(server)


@given(plan=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.booleans()), max_size=40))
@settings(max_examples=40)
def test_no_request_sees_the_variables_of_another(plan: list[tuple[int, int, bool]]) -> None:
    """Whatever the schedule: a request that sets its variable reads back its own, and begins with none."""

    async def handler(request: tuple[int, int, int, bool], client_address: Any, server: Any) -> None:
        number, before, after, fails = request
        for _ in range(before):
            await trio.lowlevel.checkpoint()
        assert mine.get() is None
        mine.set(number)
        for _ in range(after):
            await trio.lowlevel.checkpoint()
        assert mine.get() == number
        if fails:
            raise ValueError(number)

    async def main() -> None:
        server = QueueServer(handler)
        async with server.running():
            for number, (before, after, fails) in enumerate(plan):
                server.put((number, before, after, fails))
                for _ in range(before):
                    await trio.lowlevel.checkpoint()
            await wait_until(lambda: len(server.closed) == len(plan))
        assert all(isinstance(error, ValueError) for error in server.errors)
        assert_accounted(server)

    trio.run(main)


async def test_handle_error_sees_the_variables_of_its_request() -> None:
    """A log that puts a request's id on each line has it for the error, too."""
    seen: list[Any] = []

    class Server(QueueServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            seen.append(mine.get())

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        mine.set(f"id {request}")
        raise ValueError

    server = Server(handler)
    async with server.running():
        server.put(1, 2)
        await wait_until(lambda: len(server.closed) == 2)
    assert sorted(seen) == ["id 1", "id 2"]
    assert_accounted(server)
