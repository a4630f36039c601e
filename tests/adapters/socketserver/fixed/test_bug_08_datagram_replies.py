"""Bug 8: the stdlib's datagram handler replies where there is nothing to say, or nobody to hear it."""

from __future__ import annotations

import errno
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest

from .kit import SECONDS, client_of, serving, variant

if TYPE_CHECKING:
    from pathlib import Path


def handle(self: Any) -> None:
    """Reply to all but ``b"silent"``."""
    data = self.rfile.read()
    if data != b"silent":
        self.wfile.write(data)


def make(module: Any, name: str, folder: Path, errors: list[BaseException], **options: Any) -> Any:
    """A server that keeps its errors."""
    handler = variant(module.DatagramRequestHandler, **{"handle": handle, **options})

    def handle_error(self: Any, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        assert error is not None
        errors.append(error)

    address: Any = str(folder / "server") if "Unix" in name else ("127.0.0.1", 0)
    return variant(getattr(module, name), handle_error=handle_error)(address, handler)


def local_client(server: Any, path: Path) -> socket.socket:
    """A client with an address of its own, so that it can be replied to."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    client.settimeout(SECONDS)
    client.bind(str(path))
    client.connect(server.server_address)
    return client


@pytest.mark.parametrize("name", ["UDPServer", "ThreadingUDPServer"])
def test_send_empty_reply_when_false_then_nothing_written_is_nothing_sent(
    module: Any, name: str, tmp_path: Path
) -> None:
    """The client's first datagram is the reply to its second one."""
    errors: list[BaseException] = []
    server = make(module, name, tmp_path, errors, send_empty_reply=False)
    with serving(server), client_of(server) as client:
        client.send(b"silent")
        server_has_seen_it(server, client)
        client.send(b"hello")
        assert client.recv(100) == b"hello"
    assert errors == []


def server_has_seen_it(server: Any, client: socket.socket) -> None:
    """Another client's datagram, sent later, has been replied to."""
    with client_of(server) as other:
        other.send(b"later")
        assert other.recv(100) == b"later"


@pytest.mark.parametrize("name", ["UnixDatagramServer", "ThreadingUnixDatagramServer"])
@pytest.mark.parametrize("kind", ["without an address", "gone"])
def test_ignore_reply_errors_when_true_then_a_client_that_can_not_hear_is_no_error(
    module: Any, name: str, kind: str, tmp_path: Path
) -> None:
    """It has no address, or its socket is closed: what the program could do about it is nothing."""
    errors: list[BaseException] = []
    server = make(module, name, tmp_path, errors, ignore_reply_errors=True)
    if kind == "gone":
        with local_client(server, tmp_path / "gone") as gone:
            gone.send(b"hello")
    else:
        with client_of(server) as nameless:
            nameless.send(b"hello")
    with local_client(server, tmp_path / "client") as client, serving(server):
        client.send(b"hello")
        assert client.recv(100) == b"hello"
    assert errors == []


def test_ignore_reply_errors_when_the_reply_is_too_long_then_it_is_an_error(
    either: Any, tmp_path: Path
) -> None:
    """The contract: that is the handler's own fault, which it has to hear of."""
    errors: list[BaseException] = []

    def handle(self: Any) -> None:
        self.wfile.write(b"x" * 70_000)

    server = make(either, "UDPServer", tmp_path, errors, handle=handle, ignore_reply_errors=True)
    with client_of(server) as client:
        client.send(b"hello")
        server.handle_request()
    server.server_close()
    (error,) = errors
    assert isinstance(error, OSError)
    assert error.errno == errno.EMSGSIZE


def test_reply_when_nothing_is_written_then_by_default_an_empty_one_is_sent(
    either: Any, tmp_path: Path
) -> None:
    """The contract: there are protocols in which it says that the request has come."""
    errors: list[BaseException] = []
    server = make(either, "UDPServer", tmp_path, errors)
    with serving(server), client_of(server) as client:
        client.send(b"silent")
        assert client.recv(100) == b""
    assert errors == []


def test_reply_when_the_client_has_no_address_then_by_default_it_is_an_error(
    either: Any, tmp_path: Path
) -> None:
    """The contract: programs override ``handle_error()`` to hear of it."""
    errors: list[BaseException] = []
    server = make(either, "UnixDatagramServer", tmp_path, errors)
    with client_of(server) as client:
        client.send(b"hello")
        server.handle_request()
    server.server_close()
    assert len(errors) == 1
