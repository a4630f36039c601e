"""B44: which threads ``server_close`` waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from .kit import Flag, receive_all, wait_until
from .threading_kit import Held, take

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]


def is_refused(connect: Connect, server: Any) -> bool:
    """Whether nobody can connect any more."""
    try:
        connect(server)
    except ConnectionError as error:  # a reset: it was closed while this one came
        return isinstance(error, ConnectionRefusedError)
    return False


@pytest.fixture
def held(make: Make) -> Iterator[Held]:
    """One that is released before the servers are closed in the end."""
    held = Held()
    yield held
    held.released.set()


def test_b44_server_close_closes_the_listener_then_waits_for_the_threads(
    make: Make, connect: Connect, call: Callable[..., Any], held: Held
) -> None:
    """For all of them, to their end; nobody can connect meanwhile."""
    server = make("ThreadingTCPServer", held)
    take(server, connect, held, 2)
    closing = call(server.server_close)
    wait_until(lambda: server.socket.fileno() == -1)
    wait_until(lambda: is_refused(connect, server))  # the number is gone a moment before the socket is
    assert closing.goes_on()
    held.released.set()
    assert closing.wait() is None
    assert (len(held.ended), [thread.is_alive() for thread in held.begun]) == (2, [False, False])


def test_b44_leaving_the_with_block_waits_for_the_threads_too(
    make: Make, connect: Connect, call: Callable[..., Any], held: Held
) -> None:
    """Since that calls ``server_close``."""
    server = make("ThreadingTCPServer", held)
    take(server, connect, held)

    def leave() -> None:
        with server:
            pass

    leaving = call(leave)
    assert leaving.goes_on()
    held.released.set()
    leaving.wait()
    assert not held.begun[0].is_alive()


@pytest.mark.parametrize("late", [False, True])
def test_b44_daemon_threads_are_not_waited_for(make: Make, connect: Connect, held: Held, late: bool) -> None:
    """What counts is what they are, not what the attribute says later."""
    server = make("ThreadingTCPServer", held, daemon_threads=True)
    take(server, connect, held)
    server.daemon_threads = not late
    server.server_close()
    assert (held.begun[0].is_alive(), held.ended) == (True, [])


@pytest.mark.parametrize("where", ["ThreadingMixIn", "class", "instance"])
def test_b44_threads_are_not_waited_for_without_block_on_close(
    module: Any,
    make: Make,
    connect: Connect,
    held: Held,
    where: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Wherever that is set, if it was when they started: set later it is too late."""
    assert vars(module.ThreadingMixIn)["block_on_close"] is True

    class Server(module.ThreadingTCPServer):
        pass

    server = make(Server, held)
    owner = {"ThreadingMixIn": module.ThreadingMixIn, "class": Server, "instance": server}[where]
    monkeypatch.setattr(owner, "block_on_close", False, raising=False)
    take(server, connect, held)
    monkeypatch.undo()
    assert server.block_on_close is True
    server.server_close()
    assert (held.begun[0].is_alive(), held.ended) == (True, [])


def test_b44_threads_that_started_with_block_on_close_are_waited_for(
    make: Make, connect: Connect, call: Callable[..., Any], held: Held
) -> None:
    """Here too it is too late to turn that off."""
    server = make("ThreadingTCPServer", held)
    take(server, connect, held)
    server.block_on_close = False
    closing = call(server.server_close)
    assert closing.goes_on()
    held.released.set()
    closing.wait()
    assert len(held.ended) == 1


def test_b44_closing_twice_waits_once(
    make: Make, connect: Connect, call: Callable[..., Any], held: Held
) -> None:
    """The second call finds nothing to do; and so does one without any requests."""
    server = make("ThreadingTCPServer", held)
    take(server, connect, held)
    held.released.set()
    assert server.server_close() is None
    assert server.server_close() is None
    assert make("ThreadingTCPServer", held).server_close() is None


@pytest.mark.parametrize("how", ["attribute", "argument"])
def test_b44_a_grace_period_ends_the_wait(
    module: Any, is_ours: bool, make: Make, connect: Connect, call: Callable[..., Any], how: str
) -> None:
    """In ours, where a request that is idle sees the end of its connection; the stdlib knows neither way."""
    begun = Flag()
    ends: list[bytes] = []

    def handler(request: Any, *args: Any) -> None:
        begun.set()
        ends.append(request.recv(1))

    server = make("ThreadingTCPServer", handler, **({"grace_period": 0.01} if how == "attribute" else {}))
    client = connect(server)
    server.handle_request()
    begun.block()
    closing = call(lambda: server.server_close(**({"grace_period": 0.01} if how == "argument" else {})))
    if is_ours:
        assert closing.wait() is None
        assert ends == [b""]
        assert receive_all(client) == b""
    else:
        if how == "argument":
            with pytest.raises(TypeError, match="grace_period"):
                closing.wait()
        else:
            assert closing.goes_on()
        client.close()
        server.server_close()
