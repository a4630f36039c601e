"""server_close() while serve_forever() runs: ours ends then, the stdlib's goes on with a closed socket."""

from __future__ import annotations

from typing import Any

import pytest

from .kit import ADDRESS, Flag, receive_all


def reply(request: Any, client_address: Any, server: Any) -> None:
    """A handler."""
    request.sendall(b"served")


@pytest.mark.parametrize("cls", ["TCPServer", "UDPServer", "ThreadingTCPServer"])
def test_server_close_in_another_thread_ends_the_loop(make: Any, call: Any, is_ours: bool, cls: str) -> None:
    """Ours only; however long the poll interval is."""
    server = make(cls, reply)
    loop = call(server.serve_forever, 60 if is_ours else 0.01)
    assert loop.goes_on()
    call(server.server_close).wait()
    if not is_ours:
        assert loop.goes_on()
        call(server.shutdown).wait()
    assert loop.wait() is None
    assert server.fileno() == -1


def test_server_close_ends_the_loop_between_two_waits(
    module: Any, make: Any, call: Any, is_ours: bool
) -> None:
    """Where it has seen that it is to go on, and then finds the descriptor closed."""
    if not is_ours:
        pytest.skip("the stdlib's asks for the descriptor once")
    turning = Flag()

    class Server(module.TCPServer):
        def fileno(self) -> int:
            if turning.is_set() and super().fileno() != -1:
                call(self.server_close).wait()
            fd: int = super().fileno()
            return fd

        def service_actions(self) -> None:
            turning.set()

    server = make(Server, reply)
    assert call(server.serve_forever, 0.01).wait() is None


def test_server_close_does_not_take_the_connection_from_a_handler_that_runs(
    make: Any, connect: Any, call: Any, is_ours: bool
) -> None:
    """The loop ends when that has ended; nobody else is served, or can connect."""
    began, go_on = Flag(), Flag()

    def serve(request: Any, *args: Any) -> None:
        began.set()
        go_on.block()
        request.sendall(b"served")

    server = make("TCPServer", serve)
    loop = call(server.serve_forever, 0.01)
    client = connect(server)
    began.block()
    call(server.server_close).wait()
    assert loop.goes_on()
    with pytest.raises(ConnectionRefusedError):
        connect(server)
    go_on.set()
    assert receive_all(client) == b"served"
    if not is_ours:
        assert loop.goes_on()
        call(server.shutdown).wait()
    assert loop.wait() is None


def test_server_close_in_a_handler_ends_the_loop_after_it(
    make: Any, connect: Any, call: Any, is_ours: bool
) -> None:
    """It does not wait for itself, and the reply still goes out."""

    def serve(request: Any, client_address: Any, server: Any) -> None:
        server.server_close()
        request.sendall(b"closed")

    server = make("TCPServer", serve)
    client = connect(server)
    loop = call(server.serve_forever, 0.01)
    assert receive_all(client) == b"closed"
    if not is_ours:
        assert loop.goes_on()
        call(server.shutdown).wait()
    assert loop.wait() is None


@pytest.mark.parametrize("how", ["handle_request", "serve_forever"])
def test_a_server_that_is_closed_serves_no_more(make: Any, how: str) -> None:
    """There is no descriptor to wait for, and it says so at once."""
    server = make("TCPServer", reply)
    server.server_close()
    with pytest.raises(ValueError, match=r"-1|negative"):
        getattr(server, how)()


def test_a_closed_server_that_gets_another_socket_serves_again(
    module: Any, make: Any, serving: Any, connect: Any
) -> None:
    """It does not remember that it was closed."""
    server = make("TCPServer", reply)
    with serving(server):
        assert receive_all(connect(server)) == b"served"
    other = module.TCPServer(ADDRESS, None)
    server.socket = other.socket
    server.server_address = other.server_address
    client = connect(server)
    server.handle_request()
    assert receive_all(client) == b"served"
    with serving(server):
        assert receive_all(connect(server)) == b"served"
    other.server_close()
