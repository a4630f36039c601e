"""Synchronous handlers in worker threads: what they get, and what becomes of what they do."""

from __future__ import annotations

import contextvars
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import Recorder, client_of, receive_all, receive_exactly, wait_until

import trioserver

from .kit import Echo, Flag

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Any]

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")


async def ask(server: Any, request: bytes = b"") -> bytes:
    """Send something, and the end; returns everything that comes back."""
    async with client_of(server) as client:
        await client.send_all(request)
        await client.send_eof()
        return await receive_all(client)


async def test_handler_when_it_is_the_stdlibs_then_serves_unchanged(make: Make) -> None:
    """Its rfile and wfile work on a blocking socket; the bytes that went through are in the event."""
    server, recorder = make(Echo), Recorder()
    server.add_observer(recorder)
    async with server.running():
        assert await ask(server, b"a\nb\n") == b"a\nb\n"
        await wait_until(lambda: len(recorder.events) == 3)
    ended = recorder.events[2]
    assert isinstance(ended, trioserver.RequestEnded)
    assert (ended.outcome, ended.bytes_received, ended.bytes_sent) == (trioserver.Outcome.FINISHED, 4, 4)


async def test_handler_when_it_is_a_function_then_gets_a_blocking_socket(make: Make) -> None:
    """A real socket of the stdlib's, in another thread, with the address and the server."""
    seen: list[Any] = []

    def handler(request: Any, client_address: Any, server: Any) -> None:
        seen.extend([request.gettimeout(), threading.get_ident(), client_address, server])
        request.sendall(request.recv(100).upper())

    server = make(handler)
    async with server.running():
        assert await ask(server, b"hello") == b"HELLO"
    assert seen[0] is None
    assert seen[1] != threading.get_ident()
    assert seen[3] is server


async def test_handler_when_many_call_at_once_then_they_run_beside_each_other(make: Make) -> None:
    """Each waits for all: one thread for all would never get there."""
    barrier = threading.Barrier(8)

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        barrier.wait(10)
        request.sendall(b"done")

    server = make(handler)
    async with server.running(), trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(ask, server)


async def test_handler_when_called_then_has_the_context_and_can_call_back(make: Make) -> None:
    """Context variables reach the thread, and ``trio.from_thread`` the task of the request."""

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        record = trio.from_thread.run_sync(server.current_request)
        trio.from_thread.run(trio.sleep, 0)
        request.sendall(f"{variable.get()} {record.id}".encode())

    variable.set("known")
    server = make(handler)
    async with server.running():
        assert await ask(server) == b"known 1"


async def test_hooks_when_overridden_then_run_where_it_says(make: Make) -> None:
    """process_request in the task, process_request_thread and finish_request in the thread."""
    calls: list[tuple[str, bool]] = []

    def note(name: str) -> None:
        calls.append((name, threading.current_thread() is threading.main_thread()))

    class Noting(trioserver.ThreadingMixIn):
        async def process_request(self, request: Any, client_address: Any) -> None:
            note("process_request")
            assert isinstance(request, trioserver.RequestStream)
            await super().process_request(request, client_address)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            note("process_request_thread")
            super().process_request_thread(request, client_address)
            note("process_request_thread")

        def finish_request(self, request: Any, client_address: Any) -> Any:
            note("finish_request")
            assert isinstance(request, socket.socket)
            super().finish_request(request, client_address)

        async def shutdown_request(self, request: Any) -> None:
            note("shutdown_request")
            assert isinstance(request, trioserver.RequestStream)
            await super().shutdown_request(request)

    class Server(Noting, trioserver.TCPServer): ...

    server = Server(("127.0.0.1", 0), Echo)
    async with server.running():
        assert await ask(server, b"x\n") == b"x\n"
    assert calls == [
        ("process_request", True),
        ("process_request_thread", False),
        ("finish_request", False),
        ("process_request_thread", False),
        ("shutdown_request", True),
    ]


async def test_verify_request_when_it_says_no_then_there_is_no_thread(make: Make) -> None:
    """P3: rejected; and the handler is not called."""
    server = make(Echo)

    async def no(request: Any, client_address: Any) -> bool:
        return False

    server.verify_request = no
    async with server.running():
        assert await ask(server) == b""
        assert (await server.shutdown(None)).rejected == 1
    assert "_limiter" not in vars(server)


async def test_verify_request_when_it_has_read_then_that_is_an_error_and_not_lost(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """What is in the stream's buffer would be missing in the socket."""
    server = make(Echo)

    async def reads(request: trioserver.RequestStream, client_address: Any) -> bool:
        return await request.wait_request()

    server.verify_request = reads
    async with server.running():
        assert await ask(server, b"hello") == b""
        assert (await server.shutdown(None)).failed == 1
    assert "5 bytes were read from the stream" in caplog.text


async def test_verify_request_when_it_has_written_then_that_goes_first(make: Make) -> None:
    """Also what was gathered."""
    server = make(Echo)

    async def greets(request: trioserver.RequestStream, client_address: Any) -> bool:
        await trioserver.StreamWriter(request, buffer_bytes=100).write(b"welcome\n")
        return True

    server.verify_request = greets
    async with server.running():
        assert await ask(server, b"hello\n") == b"welcome\nhello\n"


async def test_handler_when_it_raises_then_is_reported_and_the_others_go_on(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """P4: handle_error in the trio thread, with the traceback."""
    held = Flag()

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        if request.recv(1) == b"!":
            raise ZeroDivisionError
        held.block()
        request.sendall(b"fine")

    server = make(handler)
    async with server.running(), client_of(server) as other:
        await other.send_all(b"?")
        assert await ask(server, b"!") == b""
        held.set()
        assert await receive_all(other) == b"fine"
        report = await server.shutdown(None)
    assert (report.finished, report.failed) == (1, 1)
    assert [(r.levelno, bool(r.exc_info)) for r in caplog.records] == [(logging.ERROR, True)]
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("fatal", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("daemon_threads", [False, True])
async def test_handler_when_it_exits_then_the_server_stops_and_raises_that(
    make: Make, fatal: type[BaseException], daemon_threads: bool
) -> None:
    """P4: bare; the other requests are cancelled."""

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        if request.recv(1) == b"!":
            raise fatal

    server = make(handler, daemon_threads=daemon_threads)
    with pytest.raises(fatal):
        async with server.running(), client_of(server) as other, client_of(server) as client:
            await other.send_all(b"")
            await wait_until(lambda: server.statistics().active == 2)
            await client.send_all(b"!")
            await trio.sleep_forever()
    assert (server.statistics().failed, server.statistics().cancelled) == (1, 1)
    await wait_until(lambda: not server._limiter.borrowed_tokens)  # a thread that was left ends now


async def test_handler_when_its_client_is_gone_then_one_line_at_level_debug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """BrokenPipeError or ConnectionResetError of this connection: no traceback."""
    caplog.set_level(logging.DEBUG, "trioserver")
    gone = Flag()

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        gone.block()
        while True:
            request.sendall(b"x" * 100_000)

    server = trioserver.ThreadingTCPServer(("127.0.0.1", 0), handler)
    async with server.running():
        async with client_of(server) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        gone.set()
        assert (await server.shutdown(None)).failed == 1
    assert [(record.levelno, record.exc_info) for record in caplog.records] == [(logging.DEBUG, None)]


async def test_handler_when_another_connection_breaks_then_that_is_an_error(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler's own connection to a database is no client."""

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        near, far = socket.socketpair()
        far.close()
        with near:
            near.sendall(b"x")

    server = make(handler)
    async with server.running():
        assert await ask(server) == b""
        await server.shutdown(None)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_handler_when_its_own_timeout_is_over_then_it_is_an_error_as_in_the_stdlib(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    """The stdlib's ``timeout`` sets the socket's; what it lets out is not trioserver's."""

    class Impatient(Echo):
        timeout = 0.01

    server = make(Impatient)
    async with server.running(), client_of(server) as client:
        await client.send_all(b"one\n")
        assert await receive_exactly(client, 4) == b"one\n"
        assert await receive_all(client) == b""
        report = await server.shutdown(None)
    assert report.failed == 1
    assert [(record.levelno, "TimeoutError" in caplog.text) for record in caplog.records] == [
        (logging.ERROR, True)
    ]


async def test_connection_when_it_ends_then_the_client_gets_all_of_a_long_reply(make: Make) -> None:
    """The graceful end of the asynchronous servers, on a socket that no longer blocks, with unread input."""
    reply = b"x" * 3_000_000

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        request.sendall(reply)

    server = make(handler)
    async with server.running(), client_of(server) as client:
        await client.send_all(b"not read")
        assert await receive_all(client) == reply


async def test_connection_when_files_stay_open_then_it_ends_all_the_same(make: Make) -> None:
    """``makefile()`` keeps the stdlib's socket open until the last file is closed; not so here."""
    kept: list[Any] = []

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        kept.append(request.makefile("rb"))
        request.close()

    server = make(handler)
    async with server.running():
        assert await ask(server) == b""
    with pytest.raises(OSError, match="Bad file descriptor"):
        kept[0].read()
    kept[0].close()


async def test_connection_when_the_handler_closes_it_then_the_client_sees_that_at_once(make: Make) -> None:
    """And not when the handler returns."""
    seen = Flag()

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        request.sendall(b"bye")
        request.close()
        seen.block()

    server = make(handler)
    async with server.running(), client_of(server) as client:
        assert await receive_all(client) == b"bye"
        seen.set()
        assert (await server.shutdown(None)).finished == 1


async def test_connection_when_the_handler_detaches_it_then_it_ends_with_the_request(make: Make) -> None:
    """P1: every connection that was accepted ends; the number is the handler's to close."""
    kept: list[int] = []

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        kept.append(request.detach())

    server = make(handler)
    async with server.running():
        assert await ask(server) == b""
        await server.shutdown(None)
    with socket.socket(fileno=kept[0]) as rest:
        assert rest.recv(1) == b""
        with pytest.raises(BrokenPipeError):
            rest.send(b"x")


async def test_socket_when_the_handler_duplicates_it_then_has_another_one_of_the_same_connection(
    make: Make,
) -> None:
    """``dup()`` is that of a socket."""

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        with request.dup() as again:
            again.sendall(repr(again.gettimeout()).encode())

    async with make(handler).running() as server:
        assert await ask(server) == b"None"
