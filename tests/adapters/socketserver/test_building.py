"""What constructors do, in which order, and what becomes of the socket when they fail."""

from __future__ import annotations

import errno
import inspect
import os
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from .kit import ADDRESS, descriptors, receive_all, recording

if TYPE_CHECKING:
    from pathlib import Path

SERVERS = ["TCPServer", "UDPServer", "ThreadingTCPServer", "ForkingUDPServer"]


def handler(request: Any, client_address: Any, server: Any) -> None:
    """Never called, or with nothing to do."""


def listens(sock: socket.socket) -> bool:
    """Whether it accepts connections."""
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def test_b01_the_constructor_sets_two_attributes_makes_the_socket_binds_and_activates(module: Any) -> None:
    """In this order, with what is known by then in place, and in the calling thread."""
    seen: list[Any] = []

    class Server(module.TCPServer):
        def __setattr__(self, name: str, value: Any) -> None:
            if name in ("server_address", "RequestHandlerClass", "socket"):
                seen.append((name, value))
            super().__setattr__(name, value)

        def server_bind(self) -> None:
            seen.append(("bind", self.socket.getsockname()[1], threading.get_ident()))
            super().server_bind()
            assert not listens(self.socket)

        def server_activate(self) -> None:
            seen.append(("activate", self.socket.getsockname(), threading.get_ident()))
            super().server_activate()
            assert listens(self.socket)

    with Server(ADDRESS, handler) as server:
        name = server.socket.getsockname()
        here = threading.get_ident()
        assert seen == [
            ("server_address", ADDRESS),
            ("RequestHandlerClass", handler),
            ("socket", server.socket),
            ("bind", 0, here),
            ("server_address", name),
            ("activate", name, here),
        ]


@pytest.mark.parametrize("cls", SERVERS)
def test_b01_the_constructor_calls_its_two_hooks_once_and_without_arguments(
    module: Any, make: Any, cls: str
) -> None:
    """Whatever else is overridden is not called yet."""
    server = make(recording(getattr(module, cls)), handler)
    assert [(call.name, call.args) for call in server.calls] == [("server_bind", ()), ("server_activate", ())]


@pytest.mark.parametrize("cls", SERVERS)
def test_b01_server_address_is_what_the_socket_says_after_binding(make: Any, cls: str) -> None:
    """And not the port 0 that was asked for."""
    server = make(cls, handler, ("localhost", 0))
    assert server.server_address == server.socket.getsockname()
    assert server.server_address[1] != 0


def test_b01_the_arguments_have_names_and_binding_is_the_default(module: Any) -> None:
    """Programs pass them by name."""
    with module.TCPServer(RequestHandlerClass=handler, server_address=ADDRESS) as server:
        assert server.RequestHandlerClass is handler
        assert listens(server.socket)
    parameters = inspect.signature(module.UDPServer.__init__).parameters
    assert list(parameters) == ["self", "server_address", "RequestHandlerClass", "bind_and_activate"]
    assert parameters["bind_and_activate"].default is True


def test_b01_a_base_server_has_its_two_attributes_and_opens_nothing(module: Any) -> None:
    """What it reads from is its subclass's business; so is closing it."""
    before = descriptors()
    server = module.BaseServer("address", handler)
    assert (server.server_address, server.RequestHandlerClass) == ("address", handler)
    assert not hasattr(server, "socket")
    assert (server.server_activate(), server.server_close()) == (None, None)
    assert descriptors() == before


@pytest.mark.parametrize("cls", SERVERS)
def test_b02_without_bind_and_activate_the_socket_is_only_made(module: Any, make: Any, cls: str) -> None:
    """It is neither bound nor listens, and no hook is called."""
    server = make(recording(getattr(module, cls)), handler, bind=False)
    assert "calls" not in vars(server)
    assert server.server_address == ADDRESS
    assert server.socket.getsockname()[1] == 0
    assert not listens(server.socket)


def test_b02_the_caller_binds_and_activates_later(make: Any, connect: Any) -> None:
    """And has a server as any other."""
    server = make("TCPServer", lambda request, *args: request.sendall(b"served"), bind=False)
    assert server.server_bind() is None
    assert server.server_activate() is None
    client = connect(server)
    server.handle_request()
    assert receive_all(client) == b"served"


@pytest.mark.parametrize("error", [OSError("no"), ValueError("no"), KeyboardInterrupt(), SystemExit(3)])
@pytest.mark.parametrize("hook", ["server_bind", "server_activate"])
@pytest.mark.parametrize("cls", SERVERS)
def test_b03_what_binding_or_activating_raises_closes_the_server_and_goes_on(
    module: Any, cls: str, hook: str, error: BaseException
) -> None:
    """It is the very exception, with nothing around it; ``server_close()`` was called once, and worked."""
    closed: list[Any] = []

    class Server(getattr(module, cls)):  # type: ignore[misc]
        def server_close(self) -> None:
            closed.append(self.fileno())
            super().server_close()
            closed.append(self.fileno())

    def fail(self: Any) -> None:
        raise error

    setattr(Server, hook, fail)
    with pytest.raises(type(error)) as caught:
        Server(ADDRESS, handler)
    assert caught.value is error
    assert (error.__context__, error.__cause__, error.__suppress_context__) == (None, None, False)
    assert [fd < 0 for fd in closed] == [False, True]


def test_b03_an_address_in_use_leaves_no_descriptor(module: Any, make: Any) -> None:
    """However often it is tried."""
    taken = make("TCPServer", handler).server_address
    before = descriptors()
    for _ in range(20):
        with pytest.raises(OSError, match="in use") as caught:
            module.TCPServer(taken, handler)
        assert caught.value.errno == errno.EADDRINUSE
    assert descriptors() == before


@pytest.mark.parametrize("cls", ["UnixStreamServer", "UnixDatagramServer"])
def test_b09_the_address_of_a_unix_server_is_its_path_and_the_file_is_left_alone(
    make: Any, tmp_path: Path, cls: str
) -> None:
    """It is there after closing, and not removed by the next who would bind to it."""
    path = str(tmp_path / "socket")
    server = make(cls, handler, path)
    assert server.server_address == path
    inode = os.stat(path).st_ino
    server.server_close()
    with pytest.raises(OSError, match="in use") as caught:
        make(cls, handler, path)
    assert caught.value.errno == errno.EADDRINUSE
    assert os.stat(path).st_ino == inode


@pytest.mark.parametrize("cls", SERVERS)
def test_b10_before_serving_there_is_one_socket_and_no_thread(make: Any, cls: str) -> None:
    """And after closing not even that."""
    threads = threading.enumerate()
    before = descriptors()
    server = make(cls, handler)
    assert len(descriptors()) == len(before) + 1
    assert threading.enumerate() == threads
    assert server.server_close() is None
    assert descriptors() == before


@pytest.mark.parametrize("cls", ["TCPServer", "ThreadingTCPServer"])
def test_b10_after_serving_and_closing_there_is_neither_descriptor_nor_thread(
    make: Any, serving: Any, connect: Any, cls: str
) -> None:
    """Of what serving needed nothing is kept for the next time."""
    threads = threading.enumerate()
    before = descriptors()
    server = make(cls, lambda request, *args: request.sendall(b"served"))
    with serving(server):
        client = connect(server)
        assert receive_all(client) == b"served"
        client.close()
    assert threading.enumerate() == threads
    assert descriptors() == before
