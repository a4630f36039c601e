"""Bug 5: the stdlib's ``ThreadingMixIn`` makes a thread for each connection, however many come."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pytest

from .kit import SECONDS, bounded, client_of, isolated, receive, serving, start, variant, wait_until

if TYPE_CHECKING:
    import socket

MOMENT = 0.05
"""Seconds in which a request comes too early, if one does."""


class Gate:
    """A handler of requests that wait until they may go, and the numbers of them."""

    def __init__(self) -> None:
        self.running = 0
        self.highest = 0
        self._changed = threading.Condition()
        self._open = False

    def __call__(self, request: Any, client_address: Any, server: Any) -> None:
        """Handle one."""
        with self._changed:
            self.running += 1
            self.highest = max(self.highest, self.running)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._open, 2 * SECONDS)
            self.running -= 1
        request.sendall(b"served")

    def open(self) -> None:
        """Let all of them go."""
        with self._changed:
            self._open = True
            self._changed.notify_all()

    def stays_at(self, count: int) -> bool:
        """Whether there come to be as many, and for a moment no more."""
        with self._changed:
            enough = self._changed.wait_for(lambda: self.running >= count, SECONDS)
            return enough and not self._changed.wait_for(lambda: self.running > count, MOMENT)


def connect(stack: contextlib.ExitStack, server: Any, count: int) -> list[socket.socket]:
    """So many clients."""
    return [stack.enter_context(client_of(server)) for _ in range(count)]


@isolated
def test_max_requests_when_reached_then_later_clients_wait_in_the_backlog(module: Any) -> None:
    """There are never more requests than that, and all clients are served in the end."""
    gate = Gate()
    server = variant(module.ThreadingTCPServer, max_requests=2)(("127.0.0.1", 0), gate)
    with contextlib.ExitStack() as stack:
        with serving(server):
            clients = connect(stack, server, 5)
            assert gate.stays_at(2)
            gate.open()
            assert [receive(client) for client in clients] == [b"served"] * 5
    assert gate.highest <= 2


@isolated
def test_max_requests_when_raised_while_serving_then_more_are_taken(module: Any) -> None:
    """Without another event, such as the end of one; set to None there is no limit."""
    gate = Gate()
    server = variant(module.ThreadingTCPServer, max_requests=1)(("127.0.0.1", 0), gate)
    with contextlib.ExitStack() as stack:
        with serving(server, 0.05):
            clients = connect(stack, server, 5)
            assert gate.stays_at(1)
            server.max_requests = 3
            assert gate.stays_at(3)
            server.max_requests = None
            assert gate.stays_at(5)
            gate.open()
            assert [receive(client) for client in clients] == [b"served"] * 5


@isolated
def test_max_requests_when_lowered_while_serving_then_those_that_run_go_on(module: Any) -> None:
    """Nothing new is taken until there are fewer."""
    gate = Gate()
    server = variant(module.ThreadingTCPServer, max_requests=3)(("127.0.0.1", 0), gate)
    with contextlib.ExitStack() as stack:
        with serving(server):
            clients = connect(stack, server, 5)
            assert gate.stays_at(3)
            server.max_requests = 1
            assert gate.stays_at(3)
            gate.open()
            assert [receive(client) for client in clients] == [b"served"] * 5


@isolated
def test_shutdown_when_at_the_limit_then_is_not_held_up(module: Any, patience: float) -> None:
    """Requests that run are not waited for, those in the backlog are not taken."""
    gate = Gate()
    server = variant(module.ThreadingTCPServer, max_requests=1)(("127.0.0.1", 0), gate)
    with contextlib.ExitStack() as stack:
        first, second = connect(stack, server, 2)
        thread = start(server, 10)
        assert gate.stays_at(1)
        bounded(patience, server.shutdown)
        bounded(patience, thread.join)
        assert gate.running == 1
        gate.open()
        assert receive(first) == b"served"
        wait_until(lambda: gate.running == 0)
        assert gate.highest == 1
        bounded(patience, server.server_close)
        assert receive(second) == b""


@isolated
def test_max_requests_when_requests_fail_then_their_places_are_free_again(module: Any) -> None:
    """In whatever way they end: with an error, with an end of the thread, or refused before they began."""
    ends: list[Any] = [ValueError, SystemExit, "refuse", "return"] * 3
    gate = Gate()

    def handler(request: Any, client_address: Any, server: Any) -> None:
        gate(request, client_address, server)
        if ends[0] != "return":
            raise ends[0]

    def verify_request(self: Any, request: Any, client_address: Any) -> bool:
        ends.append(ends.pop(0))
        return bool(ends[0] != "refuse")

    server = variant(
        module.ThreadingTCPServer,
        max_requests=1,
        request_queue_size=20,
        verify_request=verify_request,
        handle_error=lambda self, *args: None,
    )(("127.0.0.1", 0), handler)
    with contextlib.ExitStack() as stack, serving(server):
        clients = connect(stack, server, 12)
        assert gate.stays_at(1)
        gate.open()
        replies = [receive(client) for client in clients]
        assert (replies.count(b"served"), replies.count(b"")) == (9, 3)


@pytest.mark.parametrize("options", [{}, {"max_requests": None}])
@isolated
def test_max_requests_when_none_then_there_is_no_limit(either: Any, options: dict[str, Any]) -> None:
    """The contract, and the default: twenty at a time."""
    gate = Gate()
    server = variant(either.ThreadingTCPServer, request_queue_size=20, **options)(("127.0.0.1", 0), gate)
    with contextlib.ExitStack() as stack, serving(server):
        clients = connect(stack, server, 20)
        assert gate.stays_at(20)
        gate.open()
        assert [receive(client) for client in clients] == [b"served"] * 20
