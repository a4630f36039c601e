"""What the tests of threading servers share: a handler that is held, and requests that are begun with it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .kit import Flag, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable


class Held:
    """A handler that returns when it is released, whatever its client does."""

    def __init__(self) -> None:
        self.begun: list[threading.Thread] = []
        self.ended: list[threading.Thread] = []
        self.released = Flag()

    def __call__(self, request: Any, *args: Any) -> None:
        self.begun.append(threading.current_thread())
        self.released.block()
        self.ended.append(threading.current_thread())


def take(server: Any, connect: Callable[..., Any], held: Held, count: int = 1) -> None:
    """Have the server begin so many requests."""
    for expected in range(len(held.begun) + 1, len(held.begun) + 1 + count):
        connect(server)
        server.handle_request()
        wait_until(lambda expected=expected: len(held.begun) == expected)  # type: ignore[misc]
