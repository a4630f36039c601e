"""B41 and B42: the handler that answers one datagram by one."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from .handling import handled
from .kit import recording

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]


class Socket:
    """In place of the server's socket: notes what is sent, and can fail."""

    def __init__(self, error: OSError | None = None) -> None:
        self.sent: list[tuple[Any, ...]] = []
        self.error = error

    def sendto(self, *args: Any) -> None:
        self.sent.append(args)
        if self.error is not None:
            raise self.error


def replies(cls: Any, sock: Any, *written: bytes, **own: Any) -> Any:
    """A handler of a datagram ``b"packet"`` that has written this."""
    return handled(cls, (b"packet", sock), handle=lambda self: self.wfile.writelines(written), **own)


def test_b41_a_handler_has_the_packet_the_socket_and_two_files(module: Any) -> None:
    """The files are in memory: one with the packet at its start, the other one empty."""
    sock = Socket()
    seen: list[Any] = []

    def handle(self: Any) -> None:
        seen.append((self.packet, self.socket, self.rfile.tell(), self.wfile.getvalue()))
        seen.append((type(self.rfile), type(self.wfile)))
        seen.append(self.rfile.read())

    handler = handled(module.DatagramRequestHandler, (b"packet", sock), handle=handle)
    assert seen == [(b"packet", sock, 0, b""), (io.BytesIO, io.BytesIO), b"packet"]
    assert set(vars(handler)) == {
        *("request", "client_address", "server", "packet", "socket", "rfile", "wfile"),
    }


def test_b41_what_was_written_is_sent_at_once_at_the_end(module: Any) -> None:
    """One datagram, to the client, with nothing else said to the socket."""
    sock = Socket()
    replies(module.DatagramRequestHandler, sock, b"one ", b"two")
    assert sock.sent == [(b"one two", "peer")]


def test_b41_what_was_written_is_sent_although_the_handler_failed(module: Any) -> None:
    """``finish`` runs in any case."""
    sock = Socket()

    def handle(self: Any) -> None:
        self.wfile.write(b"so far")
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        handled(module.DatagramRequestHandler, (b"packet", sock), handle=handle)
    assert sock.sent == [(b"so far", "peer")]


def test_b41_a_reply_that_is_empty_is_sent_too(module: Any, is_ours: bool) -> None:
    """As the stdlib has it; ours can be told not to, by an attribute that the stdlib does not know."""
    for wanted, written in ((True, ()), (False, ()), (False, (b"x",))):
        sock = Socket()
        replies(module.DatagramRequestHandler, sock, *written, send_empty_reply=wanted)
        silent = is_ours and not wanted and not written
        assert sock.sent == ([] if silent else [(b"".join(written), "peer")])


def test_b41_without_finish_nothing_is_sent(module: Any) -> None:
    """Which is how it is overridden by those who do not want an empty reply."""
    sock = Socket()
    replies(module.DatagramRequestHandler, sock, b"dropped", finish=lambda self: None)
    assert sock.sent == []


def test_b41_the_reply_reaches_the_client(module: Any, make: Make, serving: Any, connect: Connect) -> None:
    """Of a server that runs, and an empty one too."""

    class Echo(module.DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.rfile.read().upper())

    server = make("UDPServer", Echo)
    with serving(server):
        client = connect(server)
        for data in (b"x", b"", b"yy"):
            client.send(data)
            assert client.recv(100) == data.upper()


def test_b41_a_failing_reply_fails_the_request(module: Any, is_ours: bool) -> None:
    """Ours can be told that it is none when the client is gone, by an attribute unknown to the stdlib."""
    for ignored in (False, True):
        sock = Socket(ConnectionRefusedError())
        if is_ours and ignored:
            replies(module.DatagramRequestHandler, sock, ignore_reply_errors=ignored)
        else:
            with pytest.raises(ConnectionRefusedError):
                replies(module.DatagramRequestHandler, sock, ignore_reply_errors=ignored)
        assert sock.sent == [(b"", "peer")]


@pytest.mark.parametrize("ignored", [False, True])
def test_b42_a_reply_to_a_client_without_an_address_is_an_error(
    module: Any, is_ours: bool, make: Make, connect: Connect, tmp_path: Path, ignored: bool
) -> None:
    """Of a Unix socket that was not bound: the handler runs, and ``handle_error`` is called once."""
    handled: list[bytes] = []

    class Handler(module.DatagramRequestHandler):
        ignore_reply_errors = ignored

        def handle(self) -> None:
            handled.append(self.packet)

    cls = recording(module.UnixDatagramServer, handle_error=lambda self, *args: None)
    server = make(cls, Handler, str(tmp_path / "server"))
    connect(server).send(b"anyone there?")
    server.handle_request()
    reports = [(call.args, type(call.error)) for call in server.calls if call.name == "handle_error"]
    assert handled == [b"anyone there?"]
    expected = (((b"anyone there?", server.socket), None), TypeError)
    assert reports == ([] if is_ours and ignored else [expected])
