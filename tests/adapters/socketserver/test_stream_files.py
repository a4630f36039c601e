"""B37 and B38: the end of a stream handler's files, and what may be written."""

from __future__ import annotations

import array
import ctypes
import io
from typing import TYPE_CHECKING, Any

import pytest

from .handling import Ends, connection, handled

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A connection."""
    with connection() as ends:
        yield ends


def test_b37_finish_flushes_a_buffered_wfile_and_closes_both_files(module: Any, ends: Ends) -> None:
    """Not before the end, and the connection itself stays open."""
    ends.client.setblocking(False)

    def handle(self: Any) -> None:
        assert self.wfile.write(b"reply") == 5
        with pytest.raises(BlockingIOError):
            ends.client.recv(10)

    handler = handled(module.StreamRequestHandler, ends.server, handle=handle, wbufsize=100)
    assert ends.client.recv(10) == b"reply"
    assert (handler.wfile.closed, handler.rfile.closed) == (True, True)
    assert ends.server.fileno() != -1
    ends.server.sendall(b"more")
    assert ends.client.recv(10) == b"more"


def test_b37_finish_closes_both_files_when_there_is_no_buffer_too(module: Any, ends: Ends) -> None:
    """So what holds on to them holds nothing open."""
    handler = handled(module.StreamRequestHandler, ends.server)
    assert (handler.wfile.closed, handler.rfile.closed) == (True, True)
    assert ends.server.fileno() != -1


class File(io.BytesIO):
    """Notes what ``finish`` does to it."""

    def __init__(self, name: str, calls: list[str], error: Exception | None = None) -> None:
        super().__init__()
        self.name = name
        self.calls = calls
        self.error = error

    def flush(self) -> None:
        self.calls.append(f"flush {self.name}")
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        self.calls.append(f"close {self.name}")
        super().close()


def finished_with(module: Any, error: Exception | None = None, closed: bool = False) -> list[str]:
    """What a finish does to the two files."""
    calls: list[str] = []

    def setup(self: Any) -> None:
        self.rfile, self.wfile = File("rfile", calls), File("wfile", calls, error)
        if closed:
            self.wfile.close()
            calls.clear()

    try:
        handled(module.StreamRequestHandler, None, setup=setup)
    except ValueError:
        calls.append("raised")
    return calls


def test_b37_finish_flushes_and_closes_in_one_order(module: Any) -> None:
    """wfile is flushed and closed, then rfile is closed."""
    assert finished_with(module) == ["flush wfile", "close wfile", "close rfile"]


def test_b37_finish_ignores_that_the_client_is_gone(module: Any) -> None:
    """An OSError of the flush is no news to anyone; any other exception is."""
    assert finished_with(module, BrokenPipeError()) == ["flush wfile", "close wfile", "close rfile"]
    assert finished_with(module, ValueError()) == ["flush wfile", "raised"]


def test_b37_finish_does_not_flush_what_the_handler_has_closed(module: Any) -> None:
    """A closed file can not be flushed; closing it twice is fine."""
    assert finished_with(module, closed=True) == ["close wfile", "close rfile"]


def test_b37_finish_after_a_setup_that_made_no_files(module: Any, is_ours: bool) -> None:
    """The stdlib hides the first error behind an AttributeError of its own; here the first one is raised."""

    def handle(self: Any) -> None:
        raise RuntimeError("the first")

    own = {"setup": lambda self: None, "handle": handle}
    if is_ours:
        with pytest.raises(RuntimeError, match="the first") as caught:
            handled(module.StreamRequestHandler, None, **own)
        assert caught.value.__context__ is None
        assert handled(module.StreamRequestHandler, None, setup=own["setup"]).request is None
    else:
        with pytest.raises(AttributeError, match="wfile"):
            handled(module.StreamRequestHandler, None, **own)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"bytes",
        bytearray(b"bytearray"),
        memoryview(b"memoryview"),
        array.array("I", [1, 2, 3]),
        memoryview(array.array("H", [1, 2, 3])),
        (ctypes.c_double * 3)(1, 2, 3),
    ],
    ids=lambda data: type(data).__name__,
)
def test_b38_wfile_writes_what_is_bytes_like_and_counts_its_bytes(module: Any, ends: Ends, data: Any) -> None:
    """Its bytes, not its items."""
    counts: list[int] = []

    def handle(self: Any) -> None:
        counts.append(self.wfile.write(data))

    handled(module.StreamRequestHandler, ends.server, handle=handle)
    ends.server.sendall(b".")
    expected = bytes(memoryview(data).cast("B"))
    assert ends.client.recv(100) == expected + b"."
    assert counts == [len(expected)]


def test_b38_wfile_refuses_text(module: Any, ends: Ends) -> None:
    """Nothing of it is sent."""
    with pytest.raises(TypeError, match="bytes-like"):
        handled(module.StreamRequestHandler, ends.server, handle=lambda self: self.wfile.write("text"))
    ends.server.close()
    assert ends.client.recv(1) == b""
