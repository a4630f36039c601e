"""P1 and P5 with threads: whatever blocks on the connection ends, and the thread is waited for."""

from __future__ import annotations

import gc
import logging
import socket
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import Recorder, client_of, receive_all, receive_exactly, wait_until

import trioserver

from .kit import Echo, Flag

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Any]


class Blocking:
    """A handler that says when it begins and when it ends, and does something in between."""

    def __init__(self, block: Callable[[socket.socket], object]) -> None:
        self.block = block
        self.begun = Flag()
        self.running = 0

    def __call__(self, request: socket.socket, client_address: Any, server: Any) -> None:
        self.running += 1
        try:
            self.begun.set()
            self.block(request)
        finally:
            self.running -= 1


def send_for_ever(request: socket.socket) -> None:
    """To a client that does not read."""
    while True:
        request.sendall(b"x" * 100_000)


def read_a_line(request: socket.socket) -> None:
    """And fail at what comes of the end of the stream."""
    with request.makefile("rb") as rfile:
        rfile.readline().split()[1]


BLOCKED = {"recv": lambda request: request.recv(1), "send": send_for_ever, "readline": read_a_line}


@pytest.mark.parametrize("daemon_threads", [False, True])
@pytest.mark.parametrize("how", ["shutdown", "cancel", "request_timeout", "outer"])
@pytest.mark.parametrize("block", BLOCKED.values(), ids=BLOCKED)
async def test_p1_when_cancelled_then_a_blocked_handler_ends_first(
    make: Make,
    block: Callable[[socket.socket], object],
    how: str,
    daemon_threads: bool,
    caplog: pytest.LogCaptureFixture,
    mock_clock: trio.testing.MockClock,
) -> None:
    """The connection is shut down, which ends the thread; it counts as cancelled, without a traceback."""
    handler = Blocking(block)
    timeout = 1.0 if how == "request_timeout" else None
    server = make(handler, daemon_threads=daemon_threads, request_timeout=timeout)
    scope = trio.CancelScope()

    async def serve(task_status: trio.TaskStatus[Any]) -> None:
        with scope:
            await server.serve_forever(task_status=task_status)

    async with trio.open_nursery() as nursery:
        await nursery.start(serve)
        async with client_of(server):
            await handler.begun.until_set()
            if how == "shutdown":
                server.request_shutdown()
            elif how == "cancel":
                server.requests[0].cancel()
            elif how == "outer":
                scope.cancel()
            else:
                mock_clock.jump(1.0)  # by hand: however slow the machine, the handler has begun by now
            await wait_until(lambda: not server.requests)
        await server.shutdown()
    if daemon_threads:
        await wait_until(lambda: not handler.running)
    assert handler.running == 0
    assert server.statistics().cancelled == 1
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
    await wait_until(lambda: server._limiter.borrowed_tokens == 0)


async def test_p5_when_a_persistent_connection_is_idle_then_the_drain_waits_for_the_grace_period(
    make: Make,
) -> None:
    """A synchronous handler is not told of a drain: it is served until it is cancelled."""
    server, recorder = make(Echo), Recorder()
    server.add_observer(recorder)
    async with server.running(), client_of(server) as client:
        await client.send_all(b"one\n")
        assert await receive_exactly(client, 4) == b"one\n"
        server.request_shutdown(0.1)
        await client.send_all(b"two\n")
        assert await receive_exactly(client, 4) == b"two\n"
        assert await receive_all(client) == b""
        report = await server.shutdown(None)
    assert report.cancelled == 1
    assert 0.1 <= report.duration < 1.1


async def test_p1_when_a_handler_blocks_elsewhere_then_the_end_waits_for_it(make: Make) -> None:
    """And when it returns it counts as cancelled."""
    held = Flag()
    handler = Blocking(lambda request: held.block())
    server = make(handler)
    async with server.running(), client_of(server) as client:
        await handler.begun.until_set()
        server.request_shutdown()
        assert await receive_all(client) == b""  # shut down, while the thread goes on
        assert (handler.running, server.state) == (1, trioserver.State.DRAINING)
        held.set()
        assert (await server.shutdown()).cancelled == 1
        assert handler.running == 0


async def test_cancelled_when_a_handler_waits_for_a_task_then_that_ends_too(make: Make) -> None:
    """What it runs by ``trio.from_thread`` belongs to the request, and is cancelled with it."""
    handler = Blocking(lambda request: trio.from_thread.run(trio.sleep_forever))
    server = make(handler)
    async with server.running(), client_of(server):
        await handler.begun.until_set()
        assert (await server.shutdown()).cancelled == 1
        assert handler.running == 0


async def test_cancelled_when_a_handler_computes_then_it_can_ask(make: Make) -> None:
    """``trio.from_thread.check_cancelled`` raises, and that is the end of the request."""

    def compute(request: socket.socket) -> None:
        while True:
            trio.from_thread.check_cancelled()

    handler = Blocking(compute)
    server = make(handler)
    async with server.running(), client_of(server):
        await handler.begun.until_set()
        assert (await server.shutdown()).cancelled == 1


@pytest.mark.parametrize("option", [{"daemon_threads": True}, {"block_on_close": False}], ids=str)
async def test_daemon_threads_when_cancelled_then_the_thread_is_left_to_itself(
    make: Make, option: dict[str, bool], caplog: pytest.LogCaptureFixture
) -> None:
    """The connection ends, the server too; the thread has its own descriptor, and no other connection's."""
    held, tried = Flag(), Flag()
    errors: list[OSError] = []

    def block(request: socket.socket) -> None:
        held.block()
        try:
            request.sendall(b"not for you")
        except OSError as error:
            errors.append(error)
        tried.set()
        raise ZeroDivisionError

    handler = Blocking(block)
    server = make(handler, **option)
    async with server.running(), client_of(server) as client:
        await handler.begun.until_set()
        assert (await server.shutdown()).cancelled == 1
        assert await receive_all(client) == b""
    assert handler.running == 1
    others = [socket.socketpair() for _ in range(4)]  # they take the numbers that are free
    held.set()
    await tried.until_set()
    await wait_until(lambda: server._limiter.borrowed_tokens == 0)
    for sock in chain(*others):
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
    for sock in chain(*others):
        sock.close()
    assert [type(error) for error in errors] == [BrokenPipeError]
    assert caplog.records == []


async def test_daemon_threads_when_many_are_left_then_they_count_in_max_threads(make: Make) -> None:
    """A new request waits for a thread, and can be cancelled meanwhile, before it had one."""
    held = Flag()
    handler = Blocking(lambda request: held.block())
    server = make(handler, daemon_threads=True, max_threads=1)
    async with server.running(), client_of(server) as one, client_of(server) as two:
        await handler.begun.until_set()
        server.requests[0].cancel()
        assert await receive_all(one) == b""
        await wait_until(lambda: server.statistics().accepted == 2)
        await wait_until(lambda: server._limiter.statistics().tasks_waiting == 1)
        assert handler.running == 1
        server.requests[0].cancel()
        assert await receive_all(two) == b""
        held.set()
        assert (await server.shutdown()).cancelled == 2
    await wait_until(lambda: not handler.running)


@pytest.mark.parametrize("daemon_threads", [False, True])
async def test_p1_when_cancelled_at_any_moment_then_no_thread_or_descriptor_stays(
    make: Make, daemon_threads: bool
) -> None:
    """Before the thread starts, while it does, when it has just ended: each accepted request ends once."""
    server = make(Echo, daemon_threads=daemon_threads, max_threads=4)
    async with server.running():
        for turns in range(60):
            async with client_of(server) as client:
                await client.send_all(b"x\n")
                await client.send_eof()
                for _ in range(turns % 20):
                    await trio.lowlevel.checkpoint()
                for record in server.requests:
                    record.cancel()
        report = await server.shutdown(None)
    assert report.accepted == report.finished + report.cancelled + report.failed  # whose client hung up
    assert report.accepted <= 60
    await wait_until(lambda: server._limiter.borrowed_tokens == 0)
    assert len(server._connections) == 0


async def test_cancelled_when_the_handler_has_ended_then_it_has_finished(make: Make) -> None:
    """What it did stays done: only the rest of the closing is cut short."""

    class Cancelling(trioserver.ThreadingMixIn, trioserver.TCPServer):
        async def shutdown_request(self, request: Any) -> None:
            self.requests[0].cancel()
            await super().shutdown_request(request)

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        request.sendall(b"done")

    server = Cancelling(("127.0.0.1", 0), handler)
    async with server.running(), client_of(server) as client:
        assert await receive_all(client) == b"done"
        assert (await server.shutdown(None)).finished == 1


async def test_p9_when_requests_have_ended_then_nothing_of_them_is_kept(make: Make) -> None:
    """No cycle keeps a socket, a connection or a thread's call until the garbage collector runs."""
    server = make(Echo)

    def streams() -> set[int]:
        return {id(thing) for thing in gc.get_objects() if isinstance(thing, trioserver.RequestStream)}

    before = streams()  # of other tests
    async with server.running():
        for _ in range(3):
            async with client_of(server) as client:
                await client.send_eof()
                await receive_all(client)
        await wait_until(lambda: not server.requests)
        assert streams() - before == set()


async def test_handler_when_it_calls_request_shutdown_then_the_server_stops(make: Make) -> None:
    """In its thread, as programs of the stdlib's call ``shutdown()`` there."""

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        server.request_shutdown(None)
        request.sendall(b"bye")

    server = make(handler)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with client_of(server) as client:
            assert await receive_all(client) == b"bye"
    assert server.statistics().finished == 1


async def test_handler_when_it_calls_shutdown_then_is_told_that_it_would_wait_for_itself(make: Make) -> None:
    """At once, and not when it is awaited, which would never be; the shutdown is requested nevertheless."""
    raised: list[BaseException] = []

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        try:
            server.shutdown(None)
        except trioserver.WrongTask as error:
            raised.append(error)

    server = make(handler)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with client_of(server) as client:
            assert await receive_all(client) == b""
    assert "request_shutdown()" in str(raised[0])


async def test_handler_when_it_cancels_a_request_in_its_thread_then_is_refused_and_nothing_hangs(
    make: Make,
) -> None:
    """Half of a cancellation would be left, and the request never end."""
    raised: list[BaseException] = []

    def handler(request: socket.socket, client_address: Any, server: Any) -> None:
        try:
            server.requests[0].cancel()
        except trioserver.LifecycleError as error:
            raised.append(error)
        request.recv(1)

    async with make(handler).running() as server:
        async with client_of(server):
            await wait_until(lambda: raised)
            assert (await server.shutdown()).cancelled == 1
    assert "trio.from_thread.run_sync()" in str(raised[0])
