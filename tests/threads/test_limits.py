"""P6 with threads: how many there are, and where the others wait."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import client_of, receive_all, wait_until

import trioserver

from .kit import Echo, Flag

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Make = Callable[..., Any]


class Counting:
    """A handler that counts how many of it run at once."""

    def __init__(self) -> None:
        self.held = Flag()
        self.running = self.most = self.served = 0
        self._lock = threading.Lock()

    def __call__(self, request: socket.socket, client_address: Any, server: Any) -> None:
        with self._lock:
            self.running += 1
            self.most = max(self.most, self.running)
        self.held.block()
        request.sendall(b"done")
        with self._lock:
            self.running -= 1
            self.served += 1


async def ask(server: Any) -> None:
    """One client, served to the end."""
    async with client_of(server) as client:
        assert await receive_all(client) == b"done"


async def test_p6_when_there_are_more_clients_than_threads_then_they_wait_in_the_kernel(make: Make) -> None:
    """Four threads, three hundred clients: never more than four requests, and every client is served."""
    handler = Counting()
    server = make(handler, max_threads=4)
    async with server.running(), trio.open_nursery() as nursery:
        for _ in range(300):
            nursery.start_soon(ask, server)
        await wait_until(lambda: handler.running == 4)
        assert (server.statistics().accepted, server.request_limit) == (4, 4)
        handler.held.set()
    assert (handler.most, handler.served) == (4, 300)


async def test_p6_when_max_requests_is_smaller_then_it_counts(make: Make) -> None:
    """The smaller one of both limits; None is no limit."""
    server = make(Echo, max_threads=4, max_requests=2)
    assert server.request_limit == 2
    server.max_requests = None
    assert server.request_limit == 4
    server.max_threads = None
    assert server.request_limit is None
    server.max_requests = 3
    assert server.request_limit == 3


async def test_max_threads_when_changed_while_serving_then_counts_at_once(make: Make) -> None:
    """For the permit and for the threads, up and down."""
    handler = Counting()
    server = make(handler, max_threads=1)
    async with server.running(), trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(ask, server)
        await wait_until(lambda: handler.running == 1)
        server.max_threads = 5
        await wait_until(lambda: handler.running == 5)
        server.max_threads = 2
        handler.held.set()
    assert (handler.most, handler.served) == (5, 12)


async def test_max_threads_when_trios_own_threads_are_all_in_use_then_the_server_has_its_own(
    make: Make,
) -> None:
    """The limit is not trio's for files and name lookups, and two servers do not share one."""
    trio.to_thread.current_default_thread_limiter().total_tokens = 1
    async with trio.to_thread.current_default_thread_limiter():
        handler = Counting()
        handler.held.set()
        server = make(handler)
        async with server.running():
            await ask(server)


async def test_max_threads_when_not_given_then_there_is_a_limit(make: Make) -> None:
    """The stdlib has none."""
    assert make(Echo).request_limit == 100


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "4"])
def test_max_threads_when_no_number_of_threads_then_config_error(value: Any) -> None:
    """When given, and when set."""
    with pytest.raises(trioserver.ConfigError, match="max_threads"):
        trioserver.ThreadingTCPServer(("127.0.0.1", 0), Echo, max_threads=value)
    server = trioserver.ThreadingTCPServer(("127.0.0.1", 0), Echo)
    with pytest.raises(trioserver.ConfigError, match="max_threads"):
        server.max_threads = value


@pytest.mark.parametrize("name", ["max_requests", "max_threads", "RequestHandlerClass"])
async def test_p6_limit_when_a_handler_sets_it_in_its_thread_then_refuses_before_anything_changes(
    make: Make, name: str
) -> None:
    """It has to wake the accept loop; from the wrong thread that would never accept again, nor end."""
    refused: list[Exception] = []

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        value = getattr(server, name) if name == "RequestHandlerClass" else 5
        try:
            setattr(server, name, value)
        except trioserver.LifecycleError as error:
            refused.append(error)
        trio.from_thread.run_sync(setattr, server, name, value)
        request.sendall(b"done")

    options = {} if name == "RequestHandlerClass" else {name: 1}
    async with make(handler, **options).running() as server:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask, server)
    assert [name in str(error) for error in refused] == [True] * 3
