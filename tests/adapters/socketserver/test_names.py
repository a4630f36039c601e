"""B55 to B57: the context manager, what `BaseServer` has not, and the names that belong to users."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import pytest

from .kit import ADDRESS, names, receive_all, recording

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]

THEIRS = (
    *("_thread", "_handler", "_closed", "handler", "ready", "port", "done", "threads", "app", "address"),
    *("_handlers", "sslctx", "_timeout", "configuration", "requests", "server", "state", "running"),
    *("loop", "_loop", "_lock", "_server", "_requests", "_stop", "_shutdown", "_socket", "_portal"),
)
"""What programs have put on their servers; and what comes to one's mind."""

CLASSES = ("TCPServer", "ThreadingTCPServer", "ForkingTCPServer")


def test_b55_a_server_is_a_context_manager_that_closes_it(module: Any) -> None:
    """Of itself; at the end of the block ``server_close`` is called, once, and nothing else."""
    server = recording(module.TCPServer)(ADDRESS, None)
    before = len(server.calls)
    with server as entered:
        assert entered is server
        assert len(server.calls) == before
        assert server.fileno() != -1
    assert names(server)[before:] == ["server_close"]
    assert (server.fileno(), server.socket.fileno()) == (-1, -1)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_b55_what_the_block_raises_goes_on(module: Any, error: type[BaseException]) -> None:
    """When the server has been closed."""
    server = module.TCPServer(ADDRESS, None)
    with pytest.raises(error), server:
        raise error
    assert server.fileno() == -1
    assert server.__exit__(None, None, None) is None


@pytest.mark.parametrize("name", CLASSES)
def test_b55_closing_twice_is_fine(module: Any, name: str) -> None:
    """As after a block in which the server was closed."""
    with getattr(module, name)(ADDRESS, None) as server:
        assert server.server_close() is None
    assert server.server_close() is None
    assert server.fileno() == -1


def test_b55_the_base_is_a_context_manager_too(module: Any) -> None:
    """Which calls a ``server_close`` that somebody has overridden."""
    server = recording(module.BaseServer)("anywhere", None)
    with server as entered:
        assert entered is server
    assert names(server) == ["server_close"]


@pytest.mark.parametrize(
    "name",
    [
        *("fileno", "get_request", "server_bind", "socket", "address_family", "socket_type"),
        *("request_queue_size", "allow_reuse_address", "allow_reuse_port"),
    ],
)
def test_b56_the_base_has_nothing_of_sockets(module: Any, name: str) -> None:
    """The stdlib's documentation lists some of these there; they are those of `TCPServer`."""
    assert not hasattr(module.BaseServer, name)
    assert not hasattr(module.BaseServer("anywhere", None), name)
    with module.TCPServer(ADDRESS, None) as server:
        assert hasattr(server, name)


@pytest.mark.parametrize("name", CLASSES)
def test_b57_names_of_users_are_left_to_them(module: Any, serving: Any, connect: Connect, name: str) -> None:
    """Whatever they are set to, before the constructor is called; they are neither read nor written."""
    values = {each: object() for each in THEIRS}
    cls = getattr(module, name)
    server = cls.__new__(cls)
    for each, value in values.items():
        setattr(server, each, value)
    server.__init__(ADDRESS, lambda request, *args: request.sendall(b"x"))
    with server:
        client = connect(server)
        server.handle_request()
        assert receive_all(client) == b"x"
        with serving(server):
            assert receive_all(connect(server)) == b"x"
    assert {each: getattr(server, each) for each in THEIRS} == values


@pytest.mark.parametrize("name", CLASSES)
def test_b57_what_a_server_keeps_for_itself_has_mangled_names(
    make: Make, serving: Any, connect: Connect, name: str
) -> None:
    """All but the three attributes that are public, and the two of the mix-ins that programs look at."""
    server = make(name, lambda *args: None)
    public = {"server_address", "RequestHandlerClass", "socket"}
    assert {each for each in vars(server) if not re.match(r"_[A-Za-z]\w*?__\w", each)} == public
    with serving(server):
        assert receive_all(connect(server)) == b""
    others = {each for each in vars(server) if not re.match(r"_[A-Za-z]\w*?__\w", each)} - public
    assert others <= {"_threads", "active_children"}


def test_b57_serve_forever_may_be_overridden_and_run_in_a_thread_of_the_server(
    module: Any, connect: Connect
) -> None:
    """As test_logging does it, with names of its own, and the poll interval as a positional argument."""

    class Controlled(module.ThreadingTCPServer):
        def __init__(self, handler: Any, poll_interval: float) -> None:
            super().__init__(ADDRESS, handler)
            self._thread: threading.Thread | None = None
            self.poll_interval = poll_interval
            self.ready = threading.Event()

        def start(self) -> None:
            self._thread = threading.Thread(
                target=self.serve_forever, args=(self.poll_interval,), daemon=True
            )
            self._thread.start()

        def serve_forever(self, poll_interval: float) -> None:
            self.ready.set()
            super().serve_forever(poll_interval)

        def stop(self) -> None:
            self.shutdown()
            assert self._thread is not None
            self._thread.join(10)
            assert not self._thread.is_alive()
            self._thread = None
            self.server_close()
            self.ready.clear()

    server = Controlled(lambda request, *args: request.sendall(b"x"), 0.01)
    server.start()
    assert server.ready.wait(10)
    try:
        assert receive_all(connect(server)) == b"x"
    finally:
        server.stop()


@pytest.mark.parametrize("name", CLASSES)
def test_b58_shutdown_takes_at_most_one_poll_interval(
    is_ours: bool, make: Make, call: Callable[..., Any], connect: Connect, name: str
) -> None:
    """The stdlib's; ours does not wait for it at all, so that it may be as long as you like."""
    server = make(name, lambda *args: None)
    for serves in (False, True):
        loop = call(server.serve_forever, 3600 if is_ours else 0.01)
        if serves:
            assert receive_all(connect(server)) == b""
        call(server.shutdown).wait()
        assert loop.wait() is None
