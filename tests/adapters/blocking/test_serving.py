"""`BlockingServer` serves: any native server, in whatever thread, time after time."""

from __future__ import annotations

import errno
import socket
import socketserver
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import Echo

import trioserver
from trioserver_adapters.blocking import BlockingServer

from .kit import LOOPBACK, SECONDS, Call, Flag, Started, ask, client_of, tcp, wait_serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeCall = Callable[..., Call]


def test_serve_forever_when_called_then_serves_until_the_shutdown(call: MakeCall) -> None:
    """As in the stdlib, from a thread of the program's; and again after that."""
    with tcp() as server:
        for _ in range(2):
            loop = call(server.serve_forever)
            wait_serving(server)
            assert [ask(server), ask(server)] == [b"hello\n"] * 2
            assert loop.goes_on()
            server.shutdown()
            assert loop.wait() is None


def test_with_when_entered_then_the_address_is_real_and_clients_wait(call: MakeCall) -> None:
    """Bound and listening, before it is served."""
    server = tcp()
    assert server.server_address == LOOPBACK
    with server as entered:
        assert entered is server
        assert server.server_address[1] != 0
        with client_of(server) as client:
            client.sendall(b"early\n")
            call(server.serve_forever)
            assert client.recv(100) == b"early\n"


def test_serve_forever_when_not_entered_then_binds_and_gives_the_port_back(call: MakeCall) -> None:
    """Whoever opens closes, as with the native server."""
    server = tcp()
    loop = call(server.serve_forever)
    wait_serving(server)
    address = server.server_address
    assert ask(server) == b"hello\n"
    server.shutdown()
    loop.wait()
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(address)
    server.server_close()


SYNCHRONOUS: dict[str, Any] = {
    "threads": trioserver.ThreadingTCPServer,
    "processes": trioserver.ForkingTCPServer,
}


class Stdlib(socketserver.StreamRequestHandler):
    """A synchronous handler."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


@pytest.mark.parametrize("cls", SYNCHRONOUS.values(), ids=SYNCHRONOUS)
def test_synchronous_handlers_when_served_natively_then_work(cls: Any) -> None:
    """In worker threads and in processes of the native server's."""
    with BlockingServer(cls(LOOPBACK, Stdlib)) as server:
        server.start()
        assert [ask(server), ask(server)] == [b"hello\n"] * 2
        assert server.shutdown(None).finished == 2


def test_unix_when_served_then_the_file_is_removed(tmp_path: Path) -> None:
    """By ``server_close``."""
    path = tmp_path / "socket"
    with BlockingServer(trioserver.UnixStreamServer(str(path), Echo)) as server:
        server.start()
        assert ask(server) == b"hello\n"
        assert path.exists()
    assert not path.exists()


def test_udp_when_served_then_replies() -> None:
    """Datagrams, with a plain function as the handler."""

    def shout(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        data, sock = request
        sock.sendto_nowait(data.upper(), client_address)

    with BlockingServer(trioserver.UDPServer(LOOPBACK, shout)) as server:
        server.start()
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.settimeout(SECONDS)
            client.sendto(b"hello", server.server_address)
            assert client.recv(100) == b"HELLO"


def test_poll_interval_when_given_then_is_the_longest_time_between_service_actions(call: MakeCall) -> None:
    """Without it nothing polls, however short the stdlib's default."""
    often = Flag()

    class Server(trioserver.TCPServer):
        calls = 0

        async def service_actions(self) -> None:
            self.calls += 1
            if self.calls == 3:
                often.set()

    with BlockingServer(Server(LOOPBACK, Echo)) as server:
        assert server.server.poll_interval == 0.5
        call(server.serve_forever, 0.01)
        often.block()
        assert server.server.poll_interval == 0.01


def test_serve_forever_when_it_is_served_already_then_says_so(call: MakeCall) -> None:
    """And the one that serves goes on."""
    with tcp() as server:
        server.start()
        for method in (server.serve_forever, server.handle_request, server.start, server.__enter__):
            with pytest.raises(trioserver.AlreadyServing):
                method()
        assert ask(server) == b"hello\n"


def test_methods_when_the_server_was_closed_then_say_so_or_have_nothing_to_do() -> None:
    """Closing twice is fine, and so is the shutdown of what is closed."""
    server = tcp()
    with server:
        pass
    for method in (server.serve_forever, server.handle_request, server.start, server.__enter__):
        with pytest.raises(trioserver.ServerClosed):
            method()
    with pytest.raises(trioserver.ServerClosed):
        server.call(trio.sleep, 0)
    server.server_close()
    server.request_shutdown()
    assert (
        server.shutdown() == server.stop() == trioserver.ShutdownReport(duration=server.shutdown().duration)
    )
    assert server.fileno() == -1


@pytest.mark.parametrize("method", ["serve_forever", "handle_request", "start", "fileno", "__enter__"])
def test_bind_when_the_address_is_taken_then_raises_it_bare_and_leaves_nothing(method: str) -> None:
    """An OSError, as it is; the server can be used when the address is free."""
    with socket.socket() as taken:
        taken.bind(LOOPBACK)
        server = BlockingServer(trioserver.TCPServer(taken.getsockname(), Echo))
        with pytest.raises(OSError, match="in use") as caught:
            getattr(server, method)()
        assert caught.value.errno == errno.EADDRINUSE
        assert server.server.fileno() == -1
    server.start()
    assert ask(server) == b"hello\n"
    server.server_close()


def test_observer_when_it_stops_the_server_at_once_then_serve_forever_returns() -> None:
    """In the thread that serves: the caller's own, here."""
    with tcp() as server:
        server.server.add_observer(Started(trioserver.ServerStarted, server.request_shutdown))
        server.serve_forever()
        server.handle_request()
        assert server.server.state is trioserver.State.STOPPED
