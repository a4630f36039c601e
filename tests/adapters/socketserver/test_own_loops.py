"""B31: servers in loops of others."""

from __future__ import annotations

import select
import selectors
import threading
from typing import TYPE_CHECKING, Any

from .kit import names, receive_all, recording, wait_until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]


def hello(request: Any, *args: Any) -> None:
    """A handler."""
    request.sendall(b"hello")


def readable(*servers: Any, timeout: float = 0) -> list[Any]:
    """Those that ``select`` finds readable."""
    return select.select(servers, [], [], timeout)[0]


def test_b31_select_takes_the_server_and_handle_request_serves(
    module: Any, make: Make, connect: Connect
) -> None:
    """In the thread that calls, by the hooks in their order; then there is nothing to read any more."""
    server = make(recording(module.TCPServer), hello)
    assert readable(server) == []
    client = connect(server)
    assert readable(server, timeout=10) == [server]
    before = len(server.calls)
    assert server.handle_request() is None
    assert receive_all(client) == b"hello"
    calls = server.calls[before:]
    assert [call.name for call in calls] == [
        *("get_request", "verify_request", "process_request"),
        *("finish_request", "shutdown_request", "close_request"),
    ]
    assert {call.thread for call in calls} == {threading.get_ident()}
    assert readable(server) == []


def test_b31_a_selector_takes_several_servers(make: Make, connect: Connect) -> None:
    """One loop for all of them, of whatever kind; each is served when its turn comes."""
    served: list[Any] = []
    servers = [make(name, lambda *args: served.append(args[2])) for name in ("TCPServer", "UDPServer")]
    servers.append(make("ThreadingTCPServer", lambda *args: served.append(args[2])))
    with selectors.DefaultSelector() as selector:
        for server in servers:
            selector.register(server, selectors.EVENT_READ, server)
        assert selector.select(0) == []
        for server in servers:
            connect(server).send(b"x")
            [(key, _)] = selector.select(10)
            assert key.fileobj is server
            key.data.handle_request()
    wait_until(lambda: len(served) == 3)
    assert served == servers


def test_b31_a_loop_may_wait_for_the_socket_and_call_service_actions(
    module: Any, make: Make, connect: Connect
) -> None:
    """Which ``handle_request`` does not call: it is for such loops to do."""
    server = make(recording(module.TCPServer), hello)
    for _ in range(3):
        client = connect(server)
        assert readable(server.socket, timeout=10) == [server.socket]
        server.handle_request()
        assert "service_actions" not in names(server)
        assert receive_all(client) == b"hello"
    assert server.service_actions() is None


def test_b31_a_loop_may_take_the_steps_by_itself(make: Make, connect: Connect) -> None:
    """All of them are public, and do not depend on one another."""
    server = make("TCPServer", hello)
    client = connect(server)
    request, client_address = server.get_request()
    assert client_address == client.getsockname()
    assert server.verify_request(request, client_address) is True
    assert server.process_request(request, client_address) is None
    assert receive_all(client) == b"hello"
    assert request.fileno() == -1


def test_b31_a_loop_may_be_in_any_thread(make: Make, connect: Connect, call: Callable[..., Any]) -> None:
    """And in one after the other."""
    threads: list[int] = []
    server = make("TCPServer", lambda *args: threads.append(threading.get_ident()))
    here = threading.get_ident()
    connect(server)
    server.handle_request()
    connect(server)
    other = call(server.handle_request)
    other.wait()
    connect(server)
    server.handle_request()
    assert threads == [here, other.ident, here]
