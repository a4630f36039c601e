"""B36: how a stream handler sets its connection up, and what it writes to."""

from __future__ import annotations

import io
import signal
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from .handling import Ends, connection, handled
from .kit import Flag, receive_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def ends() -> Iterator[Ends]:
    """A connection."""
    with connection() as ends:
        yield ends


class Request:
    """In place of a socket: notes what it is asked to do."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.files: list[io.BytesIO] = []

    def settimeout(self, timeout: float) -> None:
        self.calls.append(("settimeout", timeout))

    def setsockopt(self, *args: object) -> None:
        self.calls.append(("setsockopt", *args))

    def makefile(self, *args: object) -> io.BytesIO:
        self.calls.append(("makefile", *args))
        self.files.append(io.BytesIO())
        return self.files[-1]


@pytest.mark.parametrize("options", [{}, {"rbufsize": 0}, {"rbufsize": 7, "wbufsize": 9}, {"wbufsize": -1}])
def test_b36_the_socket_is_set_up_in_one_order(module: Any, options: dict[str, int]) -> None:
    """First the timeout, then Nagle's algorithm, then rfile, then wfile if it has a buffer; and no more."""
    request = Request()
    seen: list[Any] = []

    def handle(self: Any) -> None:
        seen.append((self.connection is request, self.rfile is request.files[0], self.wfile))

    wbufsize = options.get("wbufsize", 0)
    expected: list[tuple[Any, ...]] = [
        ("settimeout", 7.5),
        ("setsockopt", socket.IPPROTO_TCP, socket.TCP_NODELAY, True),
        ("makefile", "rb", options.get("rbufsize", -1)),
        *([("makefile", "wb", wbufsize)] if wbufsize else []),
    ]
    own = {"timeout": 7.5, "disable_nagle_algorithm": True, "handle": handle, **options}
    handler = handled(module.StreamRequestHandler, request, **own)
    assert request.calls == expected
    assert seen[0][:2] == (True, True)
    assert (seen[0][2] is request.files[-1]) == bool(wbufsize)
    assert set(vars(handler)) == {"request", "client_address", "server", "connection", "rfile", "wfile"}


def test_b36_without_options_the_socket_is_left_as_it_is(module: Any) -> None:
    """Its timeout above all."""
    request = Request()
    handled(module.StreamRequestHandler, request)
    assert request.calls == [("makefile", "rb", -1)]


@pytest.mark.parametrize("where", ["base", "class", "instance"])
@pytest.mark.parametrize("timeout", [0, 2.5])
def test_b36_the_timeout_is_read_late(
    module: Any, ends: Ends, where: str, timeout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From wherever it was set; and zero is a timeout."""

    class Handler(module.StreamRequestHandler):
        def __init__(self, *args: Any) -> None:
            if where == "instance":
                self.timeout = timeout
            super().__init__(*args)

    owner = {"base": module.StreamRequestHandler, "class": Handler}.get(where)
    if owner is not None:
        monkeypatch.setattr(owner, "timeout", timeout)
    Handler(ends.server, None, None)
    assert ends.server.gettimeout() == timeout


def test_b36_a_client_that_is_slow_to_send_times_out(module: Any, ends: Ends) -> None:
    """Reading raises TimeoutError in the handler, which does not catch it here."""
    with pytest.raises(TimeoutError):
        handled(
            module.StreamRequestHandler, ends.server, timeout=0.001, handle=lambda self: self.rfile.read(1)
        )


@pytest.mark.parametrize("disabled", [False, True])
def test_b36_nagles_algorithm_is_on_until_it_is_disabled(
    module: Any, make: Callable[..., Any], serving: Any, connect: Callable[..., Any], disabled: bool
) -> None:
    """Of a connection that a server has accepted, as a handler finds it."""

    class Handler(module.StreamRequestHandler):
        disable_nagle_algorithm = disabled

        def handle(self) -> None:
            option = self.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            self.wfile.write(b"%d" % bool(option))

    server = make("TCPServer", Handler)
    with serving(server):
        assert receive_all(connect(server)) == b"%d" % disabled


def test_b36_nagles_algorithm_can_not_be_disabled_for_a_unix_socket(module: Any, ends: Ends) -> None:
    """It fails in ``setup``, so nothing else runs."""
    with pytest.raises(OSError, match="not supported"):
        handled(module.StreamRequestHandler, ends.server, disable_nagle_algorithm=True, handle=pytest.fail)


def test_b36_an_unbuffered_wfile_is_a_buffered_io_base_on_the_socket(module: Any, ends: Ends) -> None:
    """It can be written, not read; its descriptor is the connection's, and what is written leaves at once."""
    got: list[Any] = []

    def handle(self: Any) -> None:
        wfile = self.wfile
        got.append((wfile.writable(), wfile.readable(), wfile.seekable(), wfile.closed))
        got.append((isinstance(wfile, io.BufferedIOBase), wfile.fileno() == ends.server.fileno()))
        wfile.write(b"before ")
        got.append(ends.client.recv(100))
        wfile.writelines([b"a", b"b"])
        got.append(ends.client.recv(1) + ends.client.recv(1))

    handled(module.StreamRequestHandler, ends.server, handle=handle)
    assert got == [(True, False, False, False), (True, True), b"before ", b"ab"]


def test_b36_a_long_write_is_complete_though_a_signal_interrupts_it(
    module: Any, ends: Ends, call: Callable[..., Any]
) -> None:
    """And returns the number of all bytes. It fills the socket's buffer, and its reader sends a signal."""
    data = bytes(range(256)) * 10_000
    interrupted = Flag()
    main = threading.get_ident()

    def read() -> bytes:
        first = ends.client.recv(1)  # so the write has begun
        signal.pthread_kill(main, signal.SIGUSR1)
        interrupted.block()
        return first + receive_all(ends.client)

    counts: list[int] = []

    def handle(self: Any) -> None:
        counts.append(self.wfile.write(data))

    before = signal.signal(signal.SIGUSR1, lambda *args: interrupted.set())
    try:
        reader = call(read)
        handled(module.StreamRequestHandler, ends.server, handle=handle)
        ends.server.close()
        assert reader.wait() == data
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert counts == [len(data)]
