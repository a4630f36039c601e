"""Handlers that do not wait are called in place, without a task."""

from __future__ import annotations

import contextvars
import functools
import inspect
import itertools
import logging
import socketserver
import weakref
from typing import Any

import pytest
import trio
import trio.testing

import trioserver

from .kit import CLIENT, client_of, echo, memory_network, settle


def plain(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
    """A handler that does not wait."""
    request.socket.sendto_nowait(request.data, client_address)


class Plain(trioserver.DatagramRequestHandler):
    """A handler class as it is written for the stdlib, but for its base."""

    def setup(self) -> None:
        super().setup()
        self.greeting = b"you said "

    def handle(self) -> None:
        self.wfile.write(self.greeting + self.rfile.read())

    def finish(self) -> None:
        super().finish()


class Base(trioserver.BaseRequestHandler[trioserver.Datagram]):
    """One from the root of all handlers."""

    def handle(self) -> None:  # type: ignore[override]
        data, sock = self.request
        sock.sendto_nowait(data, self.client_address)


class Callable:
    """Has a method to serve with."""

    def serve(self, request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        """Does not wait."""
        plain(request, client_address, server)


@functools.wraps(echo)
def wrapped(*args: Any) -> Any:
    """A decorator's wrapper of an async function, which has to be awaited."""
    return echo(*args)


@functools.wraps(plain)
def wrapped_plain(*args: Any) -> Any:
    """A decorator's wrapper of a plain function."""
    return plain(*args)


class Async(trioserver.DatagramRequestHandler):
    """One that waits."""

    async def handle(self) -> None:
        await self.socket.sendto(self.packet, self.client_address)


@pytest.mark.parametrize(
    ("handler", "in_place"),
    [
        (plain, True),
        (functools.partial(plain), True),
        (Callable().serve, True),
        (wrapped_plain, True),
        (Plain, True),
        (Base, True),
        (echo, False),
        (functools.partial(echo), False),
        (wrapped, False),
        (Async, False),
        (functools.partial(Async), False),
    ],
)
async def test_handler_when_it_does_not_wait_then_is_called_in_place_and_else_in_a_task(
    handler: Any, in_place: bool
) -> None:
    """Told by what it is; served either way, and counted the same."""
    tasks = Tasks()
    server = trioserver.UDPServer(("127.0.0.1", 0), handler)
    async with server.running(), client_of(server) as client:
        await settle()
        trio.lowlevel.add_instrument(tasks)
        reply = await client.ask(b"hello")
        trio.lowlevel.remove_instrument(tasks)
        assert reply.endswith(b"hello")
        assert tasks.spawned == (not in_place)
        assert server.serves_in_place == in_place
        while server.requests:
            await trio.lowlevel.checkpoint()
    statistics = server.statistics()
    assert (statistics.accepted, statistics.finished, statistics.bytes_received) == (1, 1, 5)


class Tasks(trio.abc.Instrument):
    """Whether a task of a request was made."""

    def __init__(self) -> None:
        self.spawned = False

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """One was."""
        self.spawned |= task.name == "trioserver: request"


def override(name: str) -> type[trioserver.UDPServer]:
    """A server class that overrides a hook, and calls what it overrides."""
    base = getattr(trioserver.UDPServer, name)

    async def hook(self: Any, *args: Any) -> Any:
        self.called = True
        result = base(self, *args)
        return await result if result is not None else None

    return type("Overriding", (trioserver.UDPServer,), {name: hook, "called": False})


@pytest.mark.parametrize("handler", [plain, Plain, Base])
@pytest.mark.parametrize(
    "name", ["verify_request", "process_request", "finish_request", "shutdown_request", "close_request"]
)
async def test_hook_when_overridden_then_a_task_serves_the_handler_all_the_same(
    name: str, handler: Any
) -> None:
    """A hook may wait, so it needs the task; the handler is called in that."""
    server: Any = override(name)(("127.0.0.1", 0), handler)
    async with server.running(), client_of(server) as client:
        assert not server.serves_in_place
        assert (await client.ask(b"hello")).endswith(b"hello")
    assert server.called
    assert server.statistics().finished == 1


@pytest.mark.parametrize("hooked", [False, True])
@pytest.mark.parametrize("handler", [plain, Plain])
async def test_reply_when_there_is_no_room_then_is_dropped_and_counted(handler: Any, hooked: bool) -> None:
    """It can not wait for it. The handler need not know: its request has not failed."""
    made = override("verify_request") if hooked else trioserver.UDPServer
    with memory_network() as network:
        async with made(("192.0.2.1", 5), handler).running() as server:
            network.endpoint.room = 1
            network.endpoint.feed(b"1", b"2", b"3")
            await settle()
            assert len(network.endpoint.sent) == 1
            assert server.datagrams_lost.replies == 2
            assert server.statistics().finished == 3
            assert server.requests == ()


async def test_error_when_raised_in_place_then_is_handled_and_the_next_datagram_is_served() -> None:
    """P3 and P4: the reply that was written goes out, the error to ``handle_error``, in a task."""
    errors: list[Any] = []

    class Server(trioserver.UDPServer):
        async def handle_error(self, request: trioserver.Datagram, client_address: Any) -> None:
            await trio.lowlevel.checkpoint()
            errors.append((request.data, client_address))

    class Failing(trioserver.DatagramRequestHandler):
        def handle(self) -> None:
            self.wfile.write(self.packet)
            if self.packet == b"bad":
                raise ValueError(self.packet)

    with memory_network() as network:
        async with Server(("192.0.2.1", 5), Failing).running() as server:
            network.endpoint.feed(b"bad", b"good")
            await settle()
            assert [data for data, _ in network.endpoint.sent] == [b"bad", b"good"]
            assert errors == [(b"bad", CLIENT)]
            statistics = server.statistics()
            assert (statistics.accepted, statistics.finished, statistics.failed) == (2, 1, 1)


async def test_exit_when_raised_in_place_then_stops_the_server_bare() -> None:
    """P4: what is no Exception is not handled."""

    def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        raise SystemExit(3)

    with memory_network() as network:
        with pytest.raises(SystemExit):
            async with trioserver.UDPServer(("192.0.2.1", 5), handler).running():
                network.endpoint.feed(b"hello")
                await trio.sleep_forever()


@pytest.mark.parametrize("as_method", [False, True])
async def test_handler_when_it_returns_what_has_to_be_awaited_then_the_error_says_so(
    as_method: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrapper that hides an async function; and no "never awaited" comes on top."""

    class Hiding(trioserver.DatagramRequestHandler):
        def handle(self) -> Any:
            return echo(self.request, self.client_address, self.server)

    def hiding(*args: Any) -> Any:
        return echo(*args)

    with memory_network() as network:
        async with trioserver.UDPServer(
            ("192.0.2.1", 5), Hiding if as_method else hiding
        ).running() as server:
            network.endpoint.feed(b"hello")
            await settle()
            assert server.statistics().failed == 1
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "make it an 'async def'" in str(record.exc_info[1])


def test_methods_when_some_wait_and_some_do_not_then_the_class_is_refused() -> None:
    """The message says which is which."""

    class Mixed(trioserver.DatagramRequestHandler):
        async def setup(self) -> None:
            """Waits."""

        def handle(self) -> None:
            """Does not."""

    with pytest.raises(trioserver.ConfigError, match=r"setup is async, handle is plain"):
        trioserver.UDPServer(("127.0.0.1", 0), Mixed)


def test_class_when_of_the_stdlib_then_is_refused_and_the_error_names_the_threads() -> None:
    """Its methods may block, as nobody knows."""

    class Blocking(socketserver.DatagramRequestHandler):
        """Of the stdlib."""

    with pytest.raises(trioserver.ConfigError, match=r"trioserver\.ThreadingUDPServer"):
        trioserver.UDPServer(("127.0.0.1", 0), Blocking)  # type: ignore[arg-type]
    with pytest.raises(trioserver.ConfigError, match="callable"):
        trioserver.UDPServer(("127.0.0.1", 0), 5)  # type: ignore[arg-type]


async def test_handler_when_replaced_while_serving_then_the_new_one_serves() -> None:
    """Be it one that waits or not."""
    with memory_network() as network:
        async with trioserver.UDPServer(("192.0.2.1", 5), plain).running() as server:
            for expected, handler in enumerate((plain, echo, Plain, Async), 1):
                server.RequestHandlerClass = handler  # type: ignore[assignment]
                assert server.serves_in_place == (
                    not inspect.iscoroutinefunction(handler) and handler is not Async
                )
                network.endpoint.feed(b"hello")
                await settle()
                assert len(network.endpoint.sent) == server.statistics().finished == expected


async def test_flood_when_served_in_place_then_other_tasks_run_every_64_datagrams() -> None:
    """P10."""
    turns: list[int] = []
    served = 0

    def count(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        nonlocal served
        served += 1

    async def other() -> None:
        while True:
            await trio.lowlevel.checkpoint()
            turns.append(served)

    with memory_network() as network:
        async with trio.open_nursery() as nursery, trioserver.UDPServer(("192.0.2.1", 5), count).running():
            await settle()
            nursery.start_soon(other)
            network.endpoint.feed(*[b""] * 1000)
            while served < 1000:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    # Twice that, as trio draws the order of the tasks in each turn: last in one, first in the next.
    assert max(b - a for a, b in itertools.pairwise(turns)) <= 128


async def test_shutdown_when_requested_in_place_then_no_further_datagram_is_served() -> None:
    """It takes effect between two datagrams."""

    def stop(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        server.request_shutdown()

    with memory_network() as network:
        async with trio.open_nursery() as nursery:
            server = trioserver.UDPServer(("192.0.2.1", 5), stop)
            await nursery.start(server.serve_forever)
            network.endpoint.feed(b"1", b"2", b"3")
        assert (server.statistics().accepted, network.endpoint.left) == (1, 2)


@pytest.mark.parametrize("other", [plain, echo])
async def test_handler_when_it_replaces_itself_then_the_next_datagram_of_the_burst_has_the_other_one(
    other: Any,
) -> None:
    """Datagrams that are at hand are served in a row; nothing that was looked up for them is out of date."""

    def first(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        server.RequestHandlerClass = other

    with memory_network() as network:
        async with trioserver.UDPServer(("192.0.2.1", 5), first).running() as server:
            await settle()
            network.endpoint.feed(b"1", b"2", b"3")
            await settle()
    assert sorted(data for data, _ in network.endpoint.sent) == [b"2", b"3"]
    assert server.statistics().finished == 3


async def test_max_packet_size_when_a_handler_sets_it_then_the_next_datagram_is_cut() -> None:
    """As it is where each of them has a task."""
    seen: list[bytes] = []

    def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        seen.append(request.data)
        server.max_packet_size = 2

    with memory_network() as network:
        async with trioserver.UDPServer(("192.0.2.1", 5), handler).running():
            await settle()
            network.endpoint.feed(b"111", b"222")
            await settle()
    assert seen == [b"111", b"22"]


async def test_p6_datagram_that_failed_when_there_is_one_permit_then_the_next_one_waits_for_it() -> None:
    """It is a request until its error is handled, and the burst ends there."""
    seen: list[bytes] = []
    handled = trio.Event()

    def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        seen.append(request.data)
        if request.data == b"bad":
            raise ValueError("bad")

    class Server(trioserver.UDPServer):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            await handled.wait()

    with memory_network() as network:
        async with Server(("192.0.2.1", 5), handler, max_requests=1).running():
            await settle()
            network.endpoint.feed(b"1", b"bad", b"2")
            await settle()
            assert seen == [b"1", b"bad"]
            handled.set()
            await settle()
    assert seen == [b"1", b"bad", b"2"]


async def test_p9_datagrams_when_the_server_waits_then_nothing_of_the_last_one_is_kept() -> None:
    """Neither what it set in its context, nor the datagram itself."""

    class Big:
        """Something that one can tell the end of."""

    variable: contextvars.ContextVar[Big] = contextvars.ContextVar("variable")
    alive: weakref.WeakSet[Big] = weakref.WeakSet()

    def handler(request: trioserver.Datagram, client_address: Any, server: Any) -> None:
        variable.set(big := Big())
        alive.add(big)

    with memory_network() as network:
        async with trioserver.UDPServer(("192.0.2.1", 5), handler).running() as server:
            await settle()
            network.endpoint.feed(b"1", b"2", b"3")
            await settle()
            assert server.statistics().finished == 3
            assert not alive
