"""Datagram servers with threads."""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import wait_until

import trioserver

from .kit import Flag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Make = Callable[..., Any]


class Upper(socketserver.DatagramRequestHandler):
    """The stdlib's handler class."""

    def handle(self) -> None:
        self.wfile.write(self.rfile.read().upper())


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Callable[[Any], socket.socket]]:
    """Makes a client that has a name."""
    made: list[socket.socket] = []

    def make(server: Any) -> socket.socket:
        sock = socket.socket(server.socket.family, socket.SOCK_DGRAM)
        made.append(sock)
        sock.bind(str(tmp_path / f"c{len(made)}") if sock.family == socket.AF_UNIX else ("127.0.0.1", 0))
        sock.connect(server.server_address)
        sock.setblocking(False)
        return sock

    yield make
    for sock in made:
        sock.close()


async def receive(sock: socket.socket) -> bytes:
    """One datagram."""
    await trio.lowlevel.wait_readable(sock)
    return sock.recv(100_000)


async def test_datagram_when_the_handler_is_the_stdlibs_then_serves_unchanged(
    make_datagram: Make, client: Any
) -> None:
    """From another thread; also an empty datagram."""
    server = make_datagram(Upper)
    async with server.running():
        sock = client(server)
        for packet in (b"hello", b""):
            sock.send(packet)
            assert await receive(sock) == packet.upper()


async def test_datagram_when_handlers_block_then_others_are_served(make_datagram: Make, client: Any) -> None:
    """Each has a thread, also where the server would call a plain function in place."""
    barrier = threading.Barrier(4)

    def handler(request: Any, client_address: Any, server: Any) -> None:
        data, sock = request
        barrier.wait(10)
        assert threading.current_thread() is not threading.main_thread()
        sock.sendto(data, client_address)

    server = make_datagram(handler)
    async with server.running():
        sock = client(server)
        for number in range(4):
            sock.send(b"%d" % number)
        assert {await receive(sock) for _ in range(4)} == {b"0", b"1", b"2", b"3"}


async def test_datagram_when_the_socket_is_asked_then_it_answers_as_a_socket(
    make_datagram: Make, client: Any
) -> None:
    """What a handler may want to know of the socket that it replies through."""
    seen: list[Any] = []

    def handler(request: Any, client_address: Any, server: Any) -> None:
        sock = request[1]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        option = sock.getsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST)
        seen.extend([sock.getsockname(), sock.fileno(), sock.family, sock.type, option, repr(sock)])
        sock.sendto(b"", client_address)

    server = make_datagram(handler)
    async with server.running():
        sock = client(server)
        sock.send(b"x")
        await receive(sock)
        real = server.socket
        assert seen[:5] == [real.getsockname(), real.fileno(), real.family, socket.SOCK_DGRAM, 1]
        assert "BlockingDatagramSocket" in seen[5]


async def test_datagram_when_the_client_has_no_name_or_is_gone_then_one_line_at_level_debug(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The stdlib's handler always replies, and raises; that is no traceback here."""
    caplog.set_level(logging.DEBUG, "trioserver")
    server = trioserver.ThreadingUnixDatagramServer(str(tmp_path / "socket"), Upper)
    async with server.running():
        for name in (None, str(tmp_path / "gone")):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                if name is not None:
                    sock.bind(name)
                sock.sendto(b"x", server.server_address)
            if name is not None:
                (tmp_path / "gone").unlink()
        await wait_until(lambda: server.statistics().failed == 2)
    assert [(record.levelno, record.exc_info) for record in caplog.records] == [(logging.DEBUG, None)] * 2


async def test_datagram_when_the_handler_raises_then_is_reported(
    make_datagram: Make, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """P4; and an OSError of its own is not the client's."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        raise ConnectionRefusedError(111, "a database")

    server = make_datagram(handler)
    async with server.running():
        client(server).send(b"x")
        await wait_until(lambda: server.statistics().failed == 1)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_p1_when_cancelled_then_the_thread_is_waited_for_and_may_reply(
    make_datagram: Make, client: Any
) -> None:
    """The socket is the server's: it is not shut down under those who use it."""
    begun, held = Flag(), Flag()

    def handler(request: Any, client_address: Any, server: Any) -> None:
        begun.set()
        held.block()
        request[1].sendto(b"late", client_address)

    server = make_datagram(handler)
    async with server.running():
        sock = client(server)
        sock.send(b"x")
        await begun.until_set()
        server.request_shutdown()
        await trio.testing.wait_all_tasks_blocked()
        assert server.state is trioserver.State.DRAINING
        held.set()
        assert await receive(sock) == b"late"
        assert (await server.shutdown()).cancelled == 1


async def test_p5_when_there_is_no_room_for_a_reply_then_it_blocks_until_cancelled(
    tmp_path: Path, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A client on a Unix socket that does not read: the queue is full."""
    sent = 0

    def handler(request: Any, client_address: Any, server: Any) -> None:
        nonlocal sent
        while True:
            request[1].sendto(b"x" * 1000, client_address)
            sent += 1

    server = trioserver.ThreadingUnixDatagramServer(str(tmp_path / "socket"), handler)
    async with server.running():
        sock = client(server)
        sock.send(b"x")
        await receive(sock)
        seen = -1
        while seen != sent:
            seen = sent
            await trio.sleep(0.06)  # longer than one pause
        await receive(sock)
        await wait_until(lambda: sent > seen)  # there is room again
        assert (await server.shutdown()).cancelled == 1
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


async def test_daemon_threads_when_cancelled_then_the_thread_has_lost_the_socket(
    make_datagram: Make, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The server ends, and the number may be another socket's; an error of the handler's own is logged."""
    begun, held = Flag(), Flag()
    errors: list[OSError] = []

    def handler(request: Any, client_address: Any, server: Any) -> None:
        begun.set()
        held.block()
        try:
            request[1].sendto(b"late", client_address)
        except OSError as error:
            errors.append(error)
        raise ZeroDivisionError

    server = make_datagram(handler, daemon_threads=True)
    async with server.running():
        client(server).send(b"x")
        await begun.until_set()
        assert (await server.shutdown()).cancelled == 1
    held.set()
    await wait_until(lambda: server._limiter.borrowed_tokens == 0)
    assert len(errors) == 1
    assert "left to itself" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_p6_when_there_are_max_threads_then_datagrams_wait_in_the_kernel(
    make_datagram: Make, client: Any
) -> None:
    """None is read that could not be served; none is lost."""
    held = Flag()

    def handler(request: Any, client_address: Any, server: Any) -> None:
        held.block()
        request[1].sendto(request[0], client_address)

    server = make_datagram(handler, max_threads=2)
    async with server.running():
        sock = client(server)
        for _ in range(8):
            sock.send(b"x")
        await wait_until(lambda: server.statistics().active == 2)
        await trio.testing.wait_all_tasks_blocked()
        assert server.statistics().accepted == 2
        held.set()
        for _ in range(8):
            assert await receive(sock) == b"x"
