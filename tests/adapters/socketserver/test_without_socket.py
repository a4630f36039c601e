"""B33: servers of what is no socket."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from .kit import recording, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Pipe:
    """Entries that are read from elsewhere: the source of a server without a socket."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def put(self, entry: bytes) -> None:
        """Add an entry of one byte."""
        os.write(self.writer, entry)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """An open one."""
    pipe = Pipe()
    yield pipe
    os.close(pipe.reader)
    os.close(pipe.writer)


@pytest.fixture
def entry_server(module: Any, pipe: Pipe) -> Iterator[Any]:
    """A server of the entries in the pipe; its handler keeps what it is called with in ``handled``."""

    class EntryServer(recording(module.BaseServer)):  # type: ignore[misc]
        def fileno(self) -> int:
            return pipe.reader

        def get_request(self) -> tuple[bytes, str]:
            return os.read(pipe.reader, 1), "from the pipe"

    handled: list[Any] = []
    with EntryServer("anywhere", lambda *args: handled.append((*args, threading.get_ident()))) as server:
        server.handled = handled
        yield server


def test_b33_the_base_serves_what_has_fileno_and_get_request(
    entry_server: Any, pipe: Pipe, serving: Any
) -> None:
    """Nothing else is asked of it, no socket above all; the other hooks are those of the base."""
    server = entry_server
    pipe.put(b"a")
    with serving(server) as loop:
        wait_until(lambda: len(server.handled) == 1)
        pipe.put(b"b")
        wait_until(lambda: len(server.handled) == 2)
        calls = [call for call in server.calls if call.name != "service_actions"]
    assert server.handled == [(each, "from the pipe", server, loop.ident) for each in (b"a", b"b")]
    hooks = ["verify_request", "process_request", "finish_request", "shutdown_request", "close_request"]
    assert [call.name for call in calls[:5]] == hooks
    assert calls[3].args == calls[4].args == (b"a",)


def test_b33_the_base_has_no_socket_to_close(module: Any) -> None:
    """What is done at the end of a request, or of the server, is nothing; all are there to be overridden."""
    server = module.BaseServer("anywhere", None)
    assert set(vars(server)) >= {"server_address", "RequestHandlerClass"}
    for nothing in ("server_activate", "server_close", "service_actions", "handle_timeout"):
        assert getattr(server, nothing)() is None
    for nothing in ("shutdown_request", "close_request"):
        assert getattr(server, nothing)(object()) is None
    assert not hasattr(server, "socket")


class Source:
    """In place of a socket: all that ``handle_request`` asks of one."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout

    def gettimeout(self) -> float | None:
        return self.timeout


def test_b33_handle_request_also_asks_for_the_timeout_of_a_socket(entry_server: Any, pipe: Pipe) -> None:
    """Of ``self.socket``, which may be anything that has one; without it, it fails."""
    server = entry_server
    with pytest.raises(AttributeError, match="socket"):
        server.handle_request()
    server.socket = Source(None)
    pipe.put(b"a")
    server.handle_request()
    assert server.handled == [(b"a", "from the pipe", server, threading.get_ident())]


@pytest.mark.parametrize(("of_socket", "of_server"), [(0, None), (None, 0), (0, 60), (60, 0), (0.001, 60)])
def test_b33_the_lesser_of_both_timeouts_counts(
    entry_server: Any, pipe: Pipe, of_socket: float | None, of_server: float | None
) -> None:
    """And of these two that which is one; zero is."""
    server = entry_server
    server.socket, server.timeout = Source(of_socket), of_server
    server.handle_timeout = lambda: "timed out"
    assert server.handle_request() == "timed out"
    pipe.put(b"a")
    assert server.handle_request() is None
    assert [entry for entry, *_ in server.handled] == [b"a"]


def test_b33_a_regular_file_is_always_readable(module: Any, tmp_path: Path) -> None:
    """So a server may read its requests from one, though there is nothing to wait for."""
    entries: list[bytes] = []
    (tmp_path / "entries").write_bytes(b"abc")
    server = module.BaseServer("anywhere", lambda request, *args: entries.append(request))
    server.socket = Source(None)
    with server, open(tmp_path / "entries", "rb", buffering=0) as file:
        server.fileno, server.get_request = file.fileno, lambda: (file.read(1), "file")
        for _ in range(3):
            server.handle_request()
    assert entries == [b"a", b"b", b"c"]
