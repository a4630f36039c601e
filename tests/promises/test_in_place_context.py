"""Context variables of requests without a task."""

from __future__ import annotations

import contextvars
from typing import Any

import trio.testing

from .in_place import InPlace

mine: contextvars.ContextVar[Any] = contextvars.ContextVar("mine", default=None)


async def test_what_a_handler_in_place_sets_is_not_the_next_requests_but_handle_errors() -> None:
    """Each request has context variables of its own, with a task or without."""
    seen: list[Any] = []

    def handler(request: Any) -> None:
        seen.append(mine.get())
        mine.set(request)
        if request == 3:
            raise ValueError

    class Server(InPlace):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            seen.append(("error", mine.get()))

    async with Server(handler, 1, 2, 3).running():
        await trio.testing.wait_all_tasks_blocked()
    assert seen == [None, None, None, ("error", 3)]
