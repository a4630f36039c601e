"""Bug 6: the stdlib's ``server_close()`` waits for ever for clients that keep an idle connection."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from .kit import (
    SECONDS,
    ask,
    bounded,
    client_of,
    echo_until_the_end,
    isolated,
    receive,
    start,
    variant,
    wait_until,
)

ADDRESS = ("127.0.0.1", 0)
GRACE_PERIOD = 0.05


def stop(server: Any, thread: threading.Thread) -> None:
    """End the loop; its requests still run."""
    bounded(SECONDS, server.shutdown)
    bounded(SECONDS, thread.join)


@pytest.mark.parametrize("name", ["ThreadingTCPServer", "ThreadingUnixStreamServer"])
@isolated
def test_grace_period_when_a_connection_is_idle_then_it_is_shut_down(
    module: Any, patience: float, name: str, tmp_path: Any
) -> None:
    """The handler's ``recv()`` ends, and so ``server_close()`` does; the client sees the end."""
    ended = threading.Event()

    def handler(request: Any, client_address: Any, server: Any) -> None:
        echo_until_the_end(request, client_address, server)
        ended.set()

    address: Any = str(tmp_path / "socket") if "Unix" in name else ADDRESS
    server = variant(getattr(module, name), grace_period=GRACE_PERIOD)(address, handler)
    with client_of(server) as client:
        thread = start(server)
        client.sendall(b"hello")
        assert receive(client) == b"hello"
        stop(server, thread)
        bounded(patience, server.server_close)
        assert ended.is_set()
        assert receive(client) == b""


@pytest.mark.parametrize("default", [None, 60.0])
@isolated
def test_server_close_when_given_a_grace_period_then_that_one_holds(
    module: Any, patience: float, default: float | None
) -> None:
    """Whatever the attribute says."""
    server = variant(module.ThreadingTCPServer, grace_period=default)(ADDRESS, echo_until_the_end)
    with client_of(server) as client:
        thread = start(server)
        client.sendall(b"hello")
        assert receive(client) == b"hello"
        stop(server, thread)
        try:
            bounded(patience, server.server_close, grace_period=0)
        except TypeError:
            raise AssertionError("the stdlib's has no such parameter") from None
        assert receive(client) == b""


@isolated
def test_grace_period_when_handlers_are_busy_then_they_may_take_it(module: Any, patience: float) -> None:
    """One ends within it and sends its reply, while an idle one is waited for."""
    go = threading.Event()

    def handler(request: Any, client_address: Any, server: Any) -> None:
        data = request.recv(100)
        request.sendall(data)
        if data == b"busy":
            assert go.wait(SECONDS)
            request.sendall(b"done")
        else:
            request.recv(100)

    server = variant(module.ThreadingTCPServer, grace_period=0.3)(ADDRESS, handler)
    with client_of(server) as busy, client_of(server) as idle:
        thread = start(server)
        for client, data in ((busy, b"busy"), (idle, b"idle")):
            client.sendall(data)
            assert receive(client) == data
        stop(server, thread)
        closing = threading.Thread(target=server.server_close, daemon=True)
        closing.start()
        wait_until(lambda: server.fileno() == -1)
        go.set()
        assert receive(busy) == b"done"
        assert receive(busy) == b""
        closing.join(0.3 + patience)
        assert not closing.is_alive()
        assert receive(idle) == b""


@isolated
def test_grace_period_when_a_with_block_ends_then_holds_too(module: Any, patience: float) -> None:
    """Its end is a call of ``server_close()``; so it is with the idle connections of a hundred clients."""
    with variant(module.ThreadingTCPServer, grace_period=GRACE_PERIOD)(ADDRESS, echo_until_the_end) as server:
        server.request_queue_size = 100
        server.server_activate()
        clients = [client_of(server) for _ in range(100)]
        thread = start(server)
        for client in clients:
            client.sendall(b"hello")
            assert receive(client) == b"hello"
        stop(server, thread)
        bounded(patience, server.__exit__, None, None, None)
        for client in clients:
            assert receive(client) == b""
            client.close()


@isolated
def test_grace_period_when_none_then_server_close_waits(either: Any) -> None:
    """The contract, and the default: a handler ends when its client lets it."""
    server = either.ThreadingTCPServer(ADDRESS, echo_until_the_end)
    with client_of(server) as client:
        thread = start(server)
        client.sendall(b"hello")
        assert receive(client) == b"hello"
        stop(server, thread)
        closing = threading.Thread(target=server.server_close, daemon=True)
        closing.start()
        closing.join(0.1)
        assert closing.is_alive()
        client.sendall(b"still there")
        assert receive(client) == b"still there"
    bounded(SECONDS, closing.join)


@pytest.mark.parametrize("options", [{"daemon_threads": True}, {"block_on_close": False}])
@isolated
def test_server_close_when_threads_are_not_waited_for_then_their_connections_stay(
    either: Any, options: dict[str, Any]
) -> None:
    """The contract: who has said that he does not wait gets none of his connections shut down."""
    server = variant(either.ThreadingTCPServer, **options)(ADDRESS, echo_until_the_end)
    thread = start(server)
    assert ask(server, b"hello") == b"hello"
    with client_of(server) as client:
        client.sendall(b"hello")
        assert receive(client) == b"hello"
        stop(server, thread)
        bounded(SECONDS, server.server_close)
        client.sendall(b"still there")
        assert receive(client) == b"still there"
    wait_until(lambda: not [each for each in threading.enumerate() if "process_request" in each.name])
