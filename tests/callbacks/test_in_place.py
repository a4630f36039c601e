"""What is so only in place: no task, whose context it is, what is looked up when, and how it is refused."""

from __future__ import annotations

import contextvars
import errno
import os
import socket
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
import trio.testing
from harness import client_of, receive_all, receive_exactly, wait_until

import trioserver

from .kit import play, until

if TYPE_CHECKING:
    from pathlib import Path

    from .kit import Connect

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it needs an epoll")


class Echo(trioserver.CallbackRequestHandler):
    delimiter = b"\n"

    def data_received(self, data: bytes) -> None:
        self.write(data)


class AsyncEcho(trioserver.StreamRequestHandler):
    async def handle(self) -> None:
        async for line in self.rfile:
            await self.wfile.write(line)


async def echoes(client: trio.SocketStream, line: bytes = b"echo\n") -> bool:
    """Whether the server does."""
    await client.send_all(line)
    return await receive_exactly(client, len(line)) == line


async def test_connections_when_served_in_place_then_have_no_task() -> None:
    """However many there are; the requests are listed, as idle between two lines."""
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo).running() as server:
        async with client_of(server) as first:
            assert await echoes(first)
            before = trio.lowlevel.current_statistics().tasks_living
            async with client_of(server) as second, client_of(server) as third:
                assert await echoes(second)
                assert await echoes(third)
                assert trio.lowlevel.current_statistics().tasks_living == before
                assert [record.state for record in server.requests] == [trioserver.RequestState.IDLE] * 3
                await first.send_all(b"half a ")
                await wait_until(lambda: server.requests[0].state is trioserver.RequestState.RUNNING)


async def test_context_variables_are_each_connections_own() -> None:
    """What is set in one call is there in the next, and in no other connection; the caller's are seen."""
    seen: list[tuple[str, str]] = []
    mine: contextvars.ContextVar[str] = contextvars.ContextVar("mine", default="unset")
    outer: contextvars.ContextVar[str] = contextvars.ContextVar("outer")
    outer.set("outer")

    class Handler(trioserver.CallbackRequestHandler):
        def data_received(self, data: bytes) -> None:
            seen.append((mine.get(), outer.get()))
            mine.set(data.decode())
            self.write(data)

        def finish(self) -> None:
            seen.append((mine.get(), "finish"))

    async with trioserver.TCPServer(("127.0.0.1", 0), Handler).running() as server:
        async with client_of(server) as first, client_of(server) as second:
            assert await echoes(first, b"one")
            assert await echoes(second, b"two")
            assert await echoes(first, b"three")
    assert seen[:3] == [("unset", "outer"), ("unset", "outer"), ("one", "outer")]
    assert sorted(seen[3:]) == [("three", "finish"), ("two", "finish")]
    assert mine.get() == "unset"


async def test_current_request_is_that_of_the_handler_that_is_called() -> None:
    """In each of its methods, and none elsewhere."""
    seen: list[Any] = []

    class Handler(trioserver.CallbackRequestHandler):
        def note(self, *_: object) -> None:
            record = self.server.current_request()
            seen.append(record is not None and record.request is self.request)

    for name in ("setup", "data_received", "finish"):
        setattr(Handler, name, Handler.note)

    async with trioserver.TCPServer(("127.0.0.1", 0), Handler).running() as server:
        async with client_of(server) as first, client_of(server) as second:
            await first.send_all(b"x")
            await second.send_all(b"x")
            await wait_until(lambda: len(seen) == 4)
            assert server.current_request() is None
    assert seen == [True] * 6


async def test_handler_class_when_replaced_while_serving_then_new_connections_get_the_new_one() -> None:
    """From a class that is called in place to one with tasks and back; connections keep what they have."""
    server: Any = trioserver.TCPServer(("127.0.0.1", 0), Echo)
    async with server.running(), client_of(server) as first:
        assert await echoes(first)
        server.RequestHandlerClass = AsyncEcho
        async with client_of(server) as second:
            assert await echoes(second)
            assert server.requests[1].task is not None
            server.RequestHandlerClass = Echo
            async with client_of(server) as third:
                assert await echoes(third)
                assert server.requests[2].task is None
                assert await echoes(first)
                assert await echoes(second)


async def test_hook_when_set_while_serving_then_it_is_called_for_new_connections() -> None:
    """A hook that may wait needs a task."""
    verified: list[Any] = []

    async def verify_request(request: Any, client_address: Any) -> bool:
        verified.append(request)
        return True

    server: Any = trioserver.TCPServer(("127.0.0.1", 0), Echo)
    async with server.running(), client_of(server) as first:
        assert await echoes(first)
        server.verify_request = verify_request
        async with client_of(server) as second:
            assert await echoes(second)
    assert len(verified) == 1


async def test_request_when_it_is_received_on_or_sent_on_then_says_what_to_call() -> None:
    """It belongs to the server; looking is all right."""
    handlers: list[Echo] = []

    class Handler(Echo):
        def setup(self) -> None:
            handlers.append(self)

    async with trioserver.TCPServer(("127.0.0.1", 0), Handler).running() as server, client_of(server):
        await wait_until(lambda: handlers)
        request = handlers[0].request
        for call in (request.receive_some, request.send_eof, request.wait_request, request.fill):
            with pytest.raises(RuntimeError, match="write"):
                await call()
        with pytest.raises(RuntimeError, match="write"):
            await request.send_all(b"x")
        assert isinstance(request, trioserver.RequestStream)
        assert request.socket.getpeername() == handlers[0].client_address
        assert (request.bytes_received, request.bytes_sent, request.closed) == (0, 0, False)
        assert (request.ssl_object, request.timeout, request.peer_error) == (None, None, None)


async def test_p6_when_the_limit_is_reached_then_others_wait() -> None:
    """The kernel's backlog is the queue; a connection that ends makes room."""
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo, max_requests=1).running() as server:
        async with client_of(server) as second_to_come:
            pass
        async with client_of(server) as second_to_come:
            await wait_until(lambda: len(server.requests) == 1)
            async with client_of(server) as waiting:
                await waiting.send_all(b"echo\n")
                await trio.testing.wait_all_tasks_blocked()
                assert waiting.socket.fileno() != -1
                assert server.statistics().bytes_received == 0
                await second_to_come.send_eof()
                assert await receive_exactly(waiting, 5) == b"echo\n"


async def test_p7_when_accept_fails_then_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Running out of descriptors is waited out, as ever."""
    from trioserver._transports.endpoint import KernelListener

    failures = [errno.EMFILE, errno.ECONNABORTED]
    accept = KernelListener.accept_nowait

    def failing(self: KernelListener) -> Any:
        if failures:
            number = failures.pop()
            raise OSError(number, os.strerror(number))
        return accept(self)

    monkeypatch.setattr(KernelListener, "accept_nowait", failing)
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo).running() as server, client_of(server) as client:
        assert await echoes(client)
        assert server.statistics().accept_errors == 2


async def test_p4_when_a_connection_can_not_be_watched_then_it_ends_and_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel has a limit of what one user may watch: ENOSPC, see epoll_ctl(2)."""
    from trioserver._transports.callback_poller import CallbackPoller

    errors: list[BaseException | None] = []

    class Server(trioserver.TCPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            errors.append(sys.exc_info()[1])

    def failing(self: CallbackPoller, fd: int, polled: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with Server(("127.0.0.1", 0), Echo).running() as server, client_of(server) as good:
        assert await echoes(good)
        with monkeypatch.context() as patch:
            patch.setattr(CallbackPoller, "add", failing)
            async with client_of(server) as bad:
                assert await receive_all(bad) == b""
        assert await echoes(good)
        await wait_until(lambda: len(server.requests) == 1)
        assert server.statistics().failed == 1
    assert [getattr(error, "errno", None) for error in errors] == [errno.ENOSPC]


async def test_p1_when_it_is_accepted_as_the_server_is_cancelled_then_it_is_closed_and_counted() -> None:
    """The task that serves may have ended a moment before the accept loop does."""
    server = trioserver.TCPServer(("127.0.0.1", 0), Echo)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with client_of(server) as first:
            assert await echoes(first)
            clients = [trio.socket.socket() for _ in range(20)]
            for client in clients:
                await client.connect(server.server_address)
            nursery.cancel_scope.cancel()
    numbers = server.statistics()
    assert numbers.accepted == numbers.cancelled + numbers.finished
    for client in clients:
        client.close()


async def test_p3_when_it_is_closed_as_the_server_is_cancelled_then_it_is_counted_and_finishes() -> None:
    """Though nobody watches it any more, and the task that serves has no other turn."""
    finished: list[object] = []

    class Handler(Echo):
        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            closer.set()

        def finish(self) -> None:
            finished.append(self)

    for turns in range(10):
        finished.clear()
        closer = trio.Event()
        async with trio.open_nursery() as nursery:
            server = trioserver.TCPServer(("127.0.0.1", 0), Handler)
            await nursery.start(server.serve_forever)
            async with client_of(server) as client, client_of(server):
                await wait_until(lambda server=server: len(server.requests) == 2)
                await client.send_all(b"echo\n")
                await closer.wait()  # so the task that serves is busy, and looks again in the next turn
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                for record in server.requests:
                    record.request.close()
                report = await server.shutdown()
            nursery.cancel_scope.cancel()
        assert report.accepted == report.finished + report.cancelled == 2
        assert server.requests == ()
        assert len(finished) == 2


async def test_p3_when_it_is_closed_from_outside_then_another_that_gets_its_descriptor_is_served() -> None:
    """The kernel gives its number to the next connection before the server has looked at what was closed."""
    async with trioserver.TCPServer(("127.0.0.1", 0), Echo).running() as server:
        async with client_of(server) as first:
            assert await echoes(first)
            await trio.testing.wait_all_tasks_blocked()
            with socket.create_connection(server.server_address) as sock:  # no checkpoint: in the backlog
                request = server.requests[0].request
                number = request.socket.fileno()
                request.close()
                second = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
                with trio.fail_after(5):
                    assert await echoes(second)
                assert server.requests[0].request.socket.fileno() == number
                await second.aclose()


@pytest.mark.parametrize("unsent", [False, True])
async def test_request_close_when_its_end_is_waited_for_then_that_ends_at_once(unsent: bool) -> None:
    """And whoever gets the same descriptor next can wait for it."""

    class Handler(Echo):
        max_unsent_bytes = 50_000_000

        def data_received(self, data: bytes) -> None:
            if unsent:
                self.write(bytes(50_000_000))
            self.close()

    errors: list[BaseException | None] = []

    class Server(trioserver.TCPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            errors.append(sys.exc_info()[1])

    async with (
        Server(("127.0.0.1", 0), Handler, linger_timeout=60).running() as server,
        client_of(server) as client,
    ):
        # More than one receive takes: so it has to wait for the client to be done.
        await client.send_all(b"x" * 10 + b"\n" + bytes(200_000))
        await wait_until(lambda: [r.state.value for r in server.requests] == ["closing"])
        await trio.testing.wait_all_tasks_blocked()
        stream = server.requests[0].request
        number = stream.socket.fileno()
        stream.close()
        pairs = [socket.socketpair() for _ in range(3)]
        (again,) = (sock for pair in pairs for sock in pair if sock.fileno() == number)
        with trio.move_on_after(0.05) as scope:
            await trio.lowlevel.wait_readable(again)
        assert scope.cancelled_caught
        assert server.requests == ()
        for pair in pairs:
            for sock in pair:
                sock.close()
    assert errors == []


@pytest.mark.parametrize("portable", [False, True])
async def test_timeout_when_a_reply_was_taken_then_begins_anew(portable: bool, tmp_path: Path) -> None:
    """The client reads the end of a reply late; it has all the time for its next request then."""
    size = 400_000  # more than a Unix socket has room for, and so little that its end is taken in one go

    class Handler(Echo):
        timeout = 0.4

        def data_received(self, data: bytes) -> None:
            self.write(bytes(size))

    server = trioserver.UnixStreamServer(str(tmp_path / "s"), Handler, portable_io=portable)
    async with server.running(), await trio.open_unix_socket(str(tmp_path / "s")) as client:
        await client.send_all(b"get\n")
        await trio.sleep(0.3)
        await receive_exactly(client, size)
        await trio.sleep(0.25)
        assert len(server.requests) == 1


async def test_p9_write_when_it_is_of_nothing_then_nothing_is_kept() -> None:
    """A client that gets empty replies could else make the server keep all of them."""
    import gc

    class Handler(Echo):
        def data_received(self, data: bytes) -> None:
            for _ in range(1000):
                self.write(b"")
            if data == b"echo\n":
                kept.extend(o for o in gc.get_objects() if isinstance(o, list) and o[:100] == [b""] * 100)
                self.write(data)

    kept: list[object] = []
    async with (
        trioserver.TCPServer(("127.0.0.1", 0), Handler).running() as server,
        client_of(server) as client,
    ):
        await client.send_all(b"silent\n" * 10)
        assert await echoes(client)
    assert kept == []


@pytest.mark.parametrize("where", ["constructor", "data_received"])
async def test_p9_timeout_when_it_begins_after_the_close_then_nothing_is_kept_for_so_long(where: str) -> None:
    """What watches the timeouts forgets connections that are closed, if not each one at once."""
    import weakref

    ended: list[weakref.ref[Any]] = []

    class Handler(trioserver.CallbackRequestHandler):
        timeout = 3600.0

        def __init__(self, request: Any, client_address: Any, server: Any) -> None:
            super().__init__(request, client_address, server)
            ended.append(weakref.ref(request))
            if where == "constructor":
                request.close()

        def data_received(self, data: bytes) -> None:
            self.busy = True
            self.request.close()
            self.busy = False

    async with trioserver.TCPServer(("127.0.0.1", 0), Handler).running() as server:
        for _ in range(200):
            async with client_of(server) as client:
                if where == "data_received":
                    await client.send_all(b"any")
                assert await receive_all(client) == b""
        await wait_until(lambda: not server.requests)
        assert len([reference for reference in ended if reference() is not None]) < 100  # those not yet swept


def test_p5_drain_when_it_begins_as_a_timeout_is_put_off_then_the_connection_ends() -> None:
    """In one turn the timeout is over, another task has had the answer, and the drain begins."""
    handlers: list[Any] = []

    class Handler(Echo):
        timeout = 1.0

        def setup(self) -> None:
            handlers.append(self)
            self.busy = True

    async def main() -> None:
        server = trioserver.TCPServer(("127.0.0.1", 0), Handler, linger_timeout=0)

        async def answer() -> None:
            await trio.sleep(1.0)
            handlers[-1].busy = False
            server.request_shutdown(None)

        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            async with client_of(server):
                while not server.requests:
                    await trio.lowlevel.checkpoint()
                nursery.start_soon(answer)
                await trio.testing.wait_all_tasks_blocked(0.01)
                clock.jump(1.0)
                for _ in range(1000):
                    await trio.lowlevel.checkpoint()
                assert server.requests == ()

    for _ in range(20):  # what is due at the same time comes in any order
        clock = trio.testing.MockClock()
        trio.run(main, clock=clock)


async def test_finish_when_an_observer_exits_at_the_end_of_each_then_it_is_called_for_all() -> None:
    """As with a task for each; the server stops."""
    handlers: list[Any] = []
    finished: list[Any] = []

    class Handler(Echo):
        def setup(self) -> None:
            handlers.append(self)

        def finish(self) -> None:
            finished.append(self)

    def exit_at_the_end(event: trioserver.ServerEvent) -> None:
        if isinstance(event, trioserver.RequestEnded):
            raise SystemExit(event.request_id)

    server = trioserver.TCPServer(("127.0.0.1", 0), Handler)
    server.add_observer(exit_at_the_end)
    with pytest.raises(BaseExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve_forever)
            async with client_of(server) as first, client_of(server), client_of(server):
                await wait_until(lambda: len(handlers) == 3)
                await first.aclose()
                await trio.sleep(10)
    (stopped,) = caught.value.exceptions
    assert isinstance(stopped, BaseExceptionGroup)
    assert [str(error) for error in stopped.exceptions] == ["1", "2", "3"]
    assert finished == handlers
    numbers = server.statistics()
    assert (numbers.accepted, numbers.finished, numbers.cancelled, numbers.active) == (3, 1, 2, 0)


async def test_p9_when_a_connection_has_ended_then_nothing_of_it_is_left() -> None:
    """Without the garbage collector, which the tests switch off: no cycles."""
    import weakref

    ended: list[weakref.ref[Any]] = []

    class Handler(Echo):
        def data_received(self, data: bytes) -> None:
            ended.append(weakref.ref(self))
            ended.append(weakref.ref(self.request))
            if data == b"fail\n":
                raise ValueError
            super().data_received(data)

    class Server(trioserver.TCPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    async with Server(("127.0.0.1", 0), Handler).running() as server:
        async with client_of(server) as client:
            assert await echoes(client)
        async with client_of(server) as client:
            await client.send_all(b"fail\n")
            assert await receive_all(client) == b""
        await wait_until(lambda: not server.requests)
        await wait_until(lambda: [reference() for reference in ended] == [None] * 4)


@pytest.mark.parametrize("name", ["setup", "data_received", "eof_received", "finish"])
def test_class_when_a_method_is_async_then_it_is_refused(name: str) -> None:
    """When the server is made, and it says why."""

    async def method(self: Any, *_: object) -> None:
        pass

    handler: Any = type("Handler", (Echo,), {name: method})
    with pytest.raises(trioserver.ConfigError, match=rf"Handler\.{name} must be a plain 'def'"):
        trioserver.TCPServer(("127.0.0.1", 0), handler)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("delimiter", b""),
        ("delimiter", "\n"),
        ("max_line_bytes", 0),
        ("max_unsent_bytes", None),
        ("timeout", -1),
        ("handle", print),
    ],
)
def test_class_when_an_option_is_not_usable_then_it_is_refused(name: str, value: object) -> None:
    """The message names it."""
    handler: Any = type("Handler", (Echo,), {name: value})
    with pytest.raises(trioserver.ConfigError, match=rf"Handler\.{name} "):
        trioserver.TCPServer(("127.0.0.1", 0), handler)


def test_class_when_the_requests_are_no_connections_then_it_is_refused() -> None:
    """Datagrams have handlers of their own that are called in place."""
    handler: Any = Echo
    with pytest.raises(trioserver.ConfigError, match="serves connections"):
        trioserver.UDPServer(("127.0.0.1", 0), handler)


@pytest.mark.parametrize("value", [b"reply", iter(())])
async def test_method_when_it_returns_something_then_the_error_says_what_to_do(value: object) -> None:
    """A reply is written; and what yields has not run."""
    errors: list[str] = []

    class Server(trioserver.TCPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            errors.append(str(sys.exc_info()[1]))

    class Handler(Echo):
        def data_received(self, data: bytes) -> Any:
            return value

    async with Server(("127.0.0.1", 0), Handler).running() as server, client_of(server) as client:
        await client.send_all(b"x\n")
        assert await receive_all(client) == b""
    assert "data_received() returned" in errors[0]
    assert "self.write()" in errors[0]


async def test_write_when_given_no_bytes_then_type_error() -> None:
    """Of text, say."""
    errors: list[BaseException | None] = []

    class Server(trioserver.TCPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            errors.append(sys.exc_info()[1])

    class Handler(trioserver.CallbackRequestHandler):
        def setup(self) -> None:
            text: Any = "text"
            self.write(text)

    async with Server(("127.0.0.1", 0), Handler).running() as server, client_of(server) as client:
        assert await receive_all(client) == b""
    assert [type(error) for error in errors] == [TypeError]


async def test_p10_when_many_have_more_to_do_then_other_tasks_have_their_turn_in_between() -> None:
    """What was left for the next turn counts, too."""
    from trioserver._transports.callback_poller import CallbackPoller

    class Left:
        attention = False
        done = 0

        context = contextvars.copy_context()

        def go_on(self) -> None:
            Left.done += 1

    poller = CallbackPoller()
    for _ in range(1000):
        poller.leave(cast("Any", Left()))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        most = before = 0
        while Left.done < 1000:
            await trio.lowlevel.checkpoint()
            most, before = max(most, Left.done - before), Left.done
        nursery.cancel_scope.cancel()
    poller.close()
    assert most <= 256  # two turns, as the order of tasks in one is chance


def test_write_when_a_constructor_writes_more_than_may_wait_then_that_connection_alone_fails() -> None:
    """It is not watched yet, and could not wait for room; what was written before is sent."""

    class Handler(trioserver.CallbackRequestHandler):
        max_unsent_bytes = 10

        def __init__(self, request: trioserver.RequestStream, client_address: Any, server: Any) -> None:
            super().__init__(request, client_address, server)
            self.write(b"12345678")
            if not server.ended():
                self.write(b"9ab")

    async def talk(server: Any, connect: Connect) -> None:
        async with await connect() as client:
            assert await receive_all(client) == b"12345678"
        await until(lambda: server.ended())
        async with await connect() as client:
            assert await receive_exactly(client, 8) == b"12345678"

    server = play("in place", Handler, talk)
    assert [type(error) for error in server.errors] == [trioserver.LimitExceeded]


async def test_input_when_there_is_more_than_a_receive_takes_then_it_comes_in_the_same_turn() -> None:
    """Or a client that sends much would have a whole turn of trio's for each 64 KiB."""
    turns = 0
    received: list[tuple[int, int]] = []

    class Turns(trio.abc.Instrument):
        def after_io_wait(self, timeout: float) -> None:
            nonlocal turns
            turns += 1

    class Handler(trioserver.CallbackRequestHandler):
        def data_received(self, data: bytes) -> None:
            received.append((turns, len(data)))

    size = 3 * 65536
    instrument = Turns()
    trio.lowlevel.add_instrument(instrument)
    try:
        async with trioserver.TCPServer(("127.0.0.1", 0), Handler).running() as server:
            async with client_of(server) as client:
                await wait_until(lambda: server.requests)
                await client.send_all(bytes(size))  # the kernel has all of it before the server runs again
                await wait_until(lambda: sum(count for _, count in received) == size)
    finally:
        trio.lowlevel.remove_instrument(instrument)
    assert len({turn for turn, _ in received}) < len(received)
