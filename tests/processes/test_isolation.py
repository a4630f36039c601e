"""What a process shares with its parent, and leaves alone."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from forking import Server, ready_then_wait, serving
from harness import client_of, receive_all, receive_exactly, wait_until

import trioserver

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


async def answer(handler: Callable[[Any, Any, Any], object], **options: Any) -> bytes:
    """What a client gets from a server that has no other one."""
    async with serving(handler, **options) as server, client_of(server) as client:
        reply = await receive_all(client)
        assert (await server.wait_ended()).exit_status == 0
        return reply


async def test_listener_when_a_process_lives_on_then_is_closed_in_it() -> None:
    """Another server can bind to the port as soon as the parent has closed it, during the drain."""
    server = Server(ready_then_wait, allow_reuse_address=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with client_of(server) as client:
            assert await receive_exactly(client, 1) == b"r"
            server.request_shutdown(None)
            await wait_until(lambda: not server.sockets)
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(server.server_address).close()
            await client.send_all(b"x")
            assert await receive_all(client) == b""


async def test_connection_when_closed_by_the_parent_then_other_processes_do_not_keep_it_open(
    io_path: str,
) -> None:
    """The client of a cancelled request sees the end while another process, forked later, lives."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # then it does not shut the connection down itself
        ready_then_wait(request, client_address, server)

    async with serving(handler) as server, client_of(server) as first, client_of(server) as second:
        for client in (first, second):
            assert await receive_exactly(client, 1) == b"r"
        oldest = server.requests[0]
        async with client_of(server) as third:  # its process is forked while the others are there
            assert await receive_exactly(third, 1) == b"r"
            oldest.cancel()
            closed = first if first.socket.getsockname() == oldest.client_address else second
            assert await receive_all(closed) == b""
            assert len(server.active_children) == 2


async def test_connection_of_another_forking_server_when_closed_then_is_not_kept_open_either() -> None:
    """A process closes the sockets of all forking servers of its program."""
    async with serving(ready_then_wait) as one, client_of(one) as first:
        assert await receive_exactly(first, 1) == b"r"
        async with serving(ready_then_wait) as other, client_of(other) as second:
            assert await receive_exactly(second, 1) == b"r"
            await one.server_close()
            assert await receive_all(first) == b""
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(one.server_address).close()
            assert len(other.active_children) == 1


@pytest.mark.parametrize("kind", ["tasks", "threads"])
async def test_server_of_another_kind_when_it_ends_then_a_process_keeps_nothing_of_it_open(
    kind: str, io_path: str
) -> None:
    """Its clients see the end of their connections, and nobody can connect to a port that nobody serves."""
    sockets: set[int] = set()

    def handler(request: Any, client_address: Any, server: Any) -> None:
        kept = 0
        for fd in range(256):
            with contextlib.suppress(OSError):
                kept += os.fstat(fd).st_ino in sockets
        request.sendall(bytes([kept]))
        request.recv(1)

    async def wait(request: Any, client_address: Any, server: Any) -> None:
        await request.receive_some()

    def block(request: Any, client_address: Any, server: Any) -> None:
        request.recv(1)

    other: Any
    if kind == "tasks":
        other = trioserver.TCPServer(("127.0.0.1", 0), wait)
    else:
        other = trioserver.ThreadingTCPServer(("127.0.0.1", 0), block)
    async with serving(handler) as forking, other.running():
        address = other.server_address
        async with client_of(other) as first, client_of(other) as second:
            await wait_until(lambda: len(other.requests) == 2)
            await trio.testing.wait_all_tasks_blocked()
            sockets.update(os.fstat(r.request.socket.fileno()).st_ino for r in other.requests)
            sockets.add(os.fstat(other.fileno()).st_ino)
            async with client_of(forking) as client:
                assert await receive_exactly(client, 1) == b"\0"
                with trio.fail_after(5):
                    await first.send_eof()
                    assert await receive_all(first) == b""
                    other.requests[-1].cancel()
                    assert await receive_all(second) == b""
                    await other.shutdown()
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(address).close()
                assert len(forking.active_children) == 1


async def test_parent_when_connections_close_while_a_process_lives_then_does_not_spin(io_path: str) -> None:
    """A few turns of the loop, and nearly no processor time: an epoll may know sockets that are closed."""

    class Turns(trio.abc.Instrument):
        count = 0

        def before_io_wait(self, timeout: float) -> None:
            self.count += 1

    async with serving(ready_then_wait) as server, client_of(server) as lasting:
        assert await receive_exactly(lasting, 1) == b"r"
        for _ in range(3):
            async with client_of(server) as client:
                assert await receive_exactly(client, 1) == b"r"
                await client.send_all(b"x")
                assert await receive_all(client) == b""
        await wait_until(lambda: len(server.requests) == 1)
        await trio.testing.wait_all_tasks_blocked()  # it looks for some turns before it sleeps
        turns = Turns()
        trio.lowlevel.add_instrument(turns)
        used = time.process_time()
        await trio.sleep(0.1)
        trio.lowlevel.remove_instrument(turns)
        assert turns.count <= 5
        assert time.process_time() - used < 0.05


@pytest.mark.parametrize("method", ["request_shutdown", "shutdown"])
async def test_process_when_it_asks_the_server_to_stop_then_is_told_that_it_can_not(method: str) -> None:
    """It has a copy; the server goes on."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        try:
            getattr(server, method)()
        except trioserver.LifecycleError as error:
            request.sendall(str(error).encode())

    assert b"copy of the server" in await answer(handler)


async def test_process_when_it_meddles_with_its_copy_then_the_server_serves_on(io_path: str) -> None:
    """No request is cancelled, and no wait of the parent's is lost, in the epolls that they share."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        if client_address == server.meddler:
            for other in server.requests:
                other.cancel()
            server.max_requests = 1
            server._release()
            del server._engine
            gc.collect()
        request.sendall(b"r")
        request.recv(1)

    class Meddled(Server):
        meddler: Any = None

    async with Meddled(handler).running() as server, client_of(server) as first:
        assert await receive_exactly(first, 1) == b"r"
        sock = trio.socket.socket()
        await sock.bind(("127.0.0.1", 0))
        server.meddler = sock.getsockname()
        await sock.connect(server.server_address)
        async with trio.SocketStream(sock) as second:
            assert await receive_exactly(second, 1) == b"r"
            async with client_of(server) as third:
                assert await receive_exactly(third, 1) == b"r"
                assert len(server.active_children) == 3
                for client in (first, second, third):
                    await client.send_all(b"x")
                    assert await receive_all(client) == b""
    assert [event.exit_status for event in server.ended] == [0, 0, 0]


async def test_process_when_it_uses_an_event_loop_then_only_that_of_trio_is_taken() -> None:
    """``trio.run`` needs a thread of its own, since this one is inside of the parent's run; asyncio works."""

    async def slowly() -> bytes:
        await asyncio.sleep(0.001)
        return b"asyncio"

    def handler(request: Any, client_address: Any, server: Any) -> None:
        with pytest.raises(RuntimeError, match="from inside a run"):
            trio.run(trio.sleep, 0)
        thread = threading.Thread(target=trio.run, args=(trio.sleep, 0.001))
        thread.start()
        thread.join()
        request.sendall(asyncio.run(slowly()))

    assert await answer(handler) == b"asyncio"


async def test_signals_when_a_process_begins_then_mean_to_it_what_they_mean_to_a_new_program() -> None:
    """The handlers and the wake-up socket of trio stay in the parent; an ignored signal stays ignored."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_IGN
        assert signal.set_wakeup_fd(-1) == -1
        assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()
        os.kill(os.getpid(), signal.SIGUSR2)
        request.sendall(b"done")

    before = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    try:
        with trio.open_signal_receiver(signal.SIGUSR1):
            assert await answer(handler) == b"done"
    finally:
        signal.signal(signal.SIGUSR2, before)


async def test_async_generator_when_dropped_in_a_process_then_trio_is_not_asked_to_close_it() -> None:
    """Its finalizer would wake the parent through the socket that they share."""

    async def generator() -> AsyncIterator[int]:
        yield 1

    def handler(request: Any, client_address: Any, server: Any) -> None:
        iterator = generator()
        with pytest.raises(StopIteration):
            iterator.__anext__().__await__().send(None)
        del iterator
        gc.collect()
        assert sys.get_asyncgen_hooks() == (None, None)
        request.sendall(b"done")

    assert await answer(handler) == b"done"


async def test_fork_when_there_are_other_threads_then_python_does_not_warn(
    recwarn: pytest.WarningsRecorder,
) -> None:
    """Where warnings are errors it would be raised when there is a child already."""
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        await trio.to_thread.run_sync(int)  # and one of trio's
        assert await answer(lambda request, *_: request.sendall(b"x")) == b"x"
    finally:
        stop.set()
        thread.join()
    assert recwarn.list == []


@pytest.mark.parametrize("raised", [BaseException("b"), StopIteration(), GeneratorExit(), MemoryError()])
async def test_process_when_anything_is_raised_then_never_gets_back_into_the_loop(
    raised: BaseException, io_path: str
) -> None:
    """What follows the fork runs once: in the parent."""
    after: list[int] = []

    def handler(request: Any, client_address: Any, server: Any) -> None:
        raise raised

    class Watched(Server):
        async def shutdown_request(self, request: trioserver.RequestStream) -> None:
            after.append(os.getpid())
            await super().shutdown_request(request)

    async with Watched(handler).running() as server, client_of(server) as client:
        assert await receive_all(client) == b""
        assert (await server.wait_ended()).exit_status == 1
    assert after == [os.getpid()]


async def test_process_when_even_the_report_fails_then_exits_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An exception that can not be shown, a stream that is broken: nothing keeps it from exiting."""

    class Nameless(Exception):
        def __str__(self) -> str:
            raise ZeroDivisionError

    class Broken:
        def write(self, text: str) -> int:
            raise OSError

        flush = write

    def handler(request: Any, client_address: Any, server: Any) -> None:
        sys.stdout = sys.stderr = Broken()
        raise Nameless

    async with serving(handler) as server, client_of(server) as client:
        assert await receive_all(client) == b""
        assert (await server.wait_ended()).exit_status == 1


async def test_process_when_a_library_asks_which_event_loop_runs_then_is_told_that_none_does() -> None:
    """sniffio would say trio, and ``asyncio.run`` would not change that."""
    sniffio = pytest.importorskip("sniffio")

    def handler(request: Any, client_address: Any, server: Any) -> None:
        async def ask() -> str:
            return str(sniffio.current_async_library())

        request.sendall(asyncio.run(ask()).encode())

    assert await answer(handler) == b"asyncio"
