"""B45: the list of the threads to wait for, at which programs look."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from .kit import receive_all
from .threading_kit import Held, take

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]


@pytest.fixture
def held(make: Make) -> Iterator[Held]:
    """One that is released before the servers are closed in the end."""
    held = Held()
    yield held
    held.released.set()


def test_b45_threads_that_ended_are_dropped_from_the_list(make: Make, connect: Connect) -> None:
    """At the latest when the next request begins, whose thread is in it."""
    threads: list[threading.Thread] = []
    lengths: list[int] = []
    server = make("ThreadingTCPServer", lambda *args: threads.append(threading.current_thread()))
    for _ in range(10):
        client = connect(server)
        server.handle_request()
        lengths.append(len(server._threads))
        assert receive_all(client) == b""
        threads[-1].join(5)
    assert lengths == [1] * 10
    assert len(server._threads) < 2


def test_b45_daemon_threads_are_not_in_the_list(make: Make, connect: Connect, held: Held) -> None:
    """Which is for those that are to be waited for."""
    server = make("ThreadingTCPServer", held, daemon_threads=True)
    take(server, connect, held)
    assert len(server._threads) == 0


def test_b45_a_daemon_thread_too_drops_those_that_ended(make: Make, connect: Connect) -> None:
    """Though it is not in the list itself."""
    threads: list[threading.Thread] = []
    server = make("ThreadingTCPServer", lambda *args: threads.append(threading.current_thread()))
    for daemon, expected in ((False, 1), (True, 0)):
        server.daemon_threads = daemon
        client = connect(server)
        server.handle_request()
        assert len(server._threads) == expected
        assert receive_all(client) == b""
        threads[-1].join(5)


def test_b45_each_server_has_a_list_of_its_own(make: Make, connect: Connect, held: Held) -> None:
    """One does not wait for the threads of another one."""
    one, other = make("ThreadingTCPServer", held), make("ThreadingTCPServer", held)
    take(one, connect, held)
    other_held = Held()
    other_held.released.set()
    other.RequestHandlerClass = other_held
    take(other, connect, other_held)
    other.server_close()
    assert len(one._threads) == 1
    assert held.ended == []


def test_b45_a_server_that_could_not_be_made_has_a_list_all_the_same(module: Any, make: Make) -> None:
    """Closing is part of the constructor that fails, and must not hide why it did."""
    taken = make("TCPServer", None)
    with pytest.raises(OSError, match="in use"):
        module.ThreadingTCPServer(taken.server_address, None)
    assert module.ThreadingMixIn._threads.join() is None
