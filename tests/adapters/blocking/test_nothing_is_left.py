"""No thread and no descriptor before a server is used, and none of them when it is closed."""

from __future__ import annotations

import contextlib
import gc
import socketserver
import sys
import threading
import warnings
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trioserver
from trioserver_adapters.blocking import BlockingServer

from .conftest import threads
from .kit import LOOPBACK, Flag, Held, ask, client_of, receive_all, tcp, wait_serving, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .kit import Call

    MakeCall = Callable[..., Call]


def descriptors() -> dict[str, str]:
    """Those of this process, each with what it is."""
    found = {}
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing
            found[path.name] = str(path.readlink())
    return found


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


class Stdlib(socketserver.StreamRequestHandler):
    """An echo."""

    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


NATIVE: dict[str, Callable[[], BlockingServer[Any]]] = {
    "tcp": tcp,
    "threads": lambda: BlockingServer(trioserver.ThreadingTCPServer(LOOPBACK, Stdlib)),
    "processes": lambda: BlockingServer(trioserver.ForkingTCPServer(LOOPBACK, Stdlib)),
}


@pytest.mark.parametrize("make", NATIVE.values(), ids=NATIVE)
def test_before_serving_there_is_neither_a_thread_nor_a_descriptor(
    make: Callable[[], BlockingServer[Any]],
) -> None:
    """Also when it was looked at, or was told to stop; a server that is dropped then needs no closing."""
    before = (threads(), descriptors())
    server = make()
    assert server.server_address == LOOPBACK
    assert server.server.state is trioserver.State.NEW
    server.request_shutdown()
    server.shutdown()
    assert threads() <= before[0]
    assert descriptors() == before[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del server
        gc.collect()


@pytest.mark.parametrize("make", NATIVE.values(), ids=NATIVE)
@pytest.mark.parametrize("how", ["with", "server_close", "serve_forever"])
def test_after_server_close_there_is_none_left(
    make: Callable[[], BlockingServer[Any]], how: str, call: MakeCall
) -> None:
    """Threads that trio keeps for others are idle; of several rounds nothing adds up."""
    before = (threads(), descriptors())
    for _ in range(3):
        server = make()
        if how == "with":
            with server:
                server.start()
                assert ask(server) == b"hello\n"
        else:
            loop = call(server.serve_forever if how == "serve_forever" else server.start)
            wait_serving(server)
            assert ask(server) == b"hello\n"
            server.server_close()
            loop.wait()
    wait_until(lambda: threads() <= before[0])  # the system takes a moment to forget a thread that was joined
    assert descriptors() == before[1]


def test_when_requests_run_at_the_closing_then_they_and_their_connections_are_gone() -> None:
    """Cancelled, before it returns."""
    handler = Held()
    before = descriptors()
    server = tcp(handler)
    server.start()
    with client_of(server) as client:
        handler.begun.block()
        server.server_close()
        assert receive_all(client) == b"r"
    assert handler.ends == ["cancelled"]
    assert descriptors() == before


def drop(held: list[BlockingServer[Any]]) -> None:
    """Forget the one server, when the loop, which has just been busy with it, has let go of it."""
    wait_until(lambda: sys.getrefcount(held[0]) <= 2)  # the list's, and the argument
    held.clear()


def test_forgotten_when_collected_then_warns_and_ends() -> None:
    """As the stdlib's sockets do; with the warning as an error, too."""
    before = (threads(), descriptors())
    server = tcp()
    assert server.fileno() != -1
    held = [server]
    del server
    with pytest.warns(ResourceWarning, match="unclosed <BlockingServer of <TCPServer at .*new>>"):
        drop(held)
    wait_until(lambda: (threads() <= before[0]) and descriptors() == before[1])


def test_forgotten_when_it_was_served_then_it_is_collected_as_well() -> None:
    """Nothing of a serve that has ended holds on to it."""
    before = (threads(), descriptors())
    server = tcp()
    server.start()
    ask(server)
    server.stop()
    held = [server]
    del server
    with pytest.warns(ResourceWarning, match="unclosed"):
        drop(held)
    wait_until(lambda: (threads() <= before[0]) and descriptors() == before[1])


def test_forgotten_when_it_serves_in_the_background_then_goes_on() -> None:
    """It is in use by whoever is its client, until the interpreter exits."""
    server = tcp()
    server.start()
    address, kept = server, weakref.ref(server)
    del server
    gc.collect()
    assert ask(address) == b"hello\n"
    del address
    gc.collect()
    found = kept()
    assert found is not None
    found.server_close()


def test_server_close_when_it_is_overridden_then_is_called_once() -> None:
    """As a program that counts on it may expect."""
    calls: list[str] = []

    class Server(trioserver.TCPServer):
        async def server_close(self) -> None:
            calls.append(threading.current_thread().name)
            await super().server_close()

    async def handler(request: Any, client_address: Any, server: Any) -> None: ...

    with BlockingServer(Server(LOOPBACK, handler)) as server:
        server.start()
    assert len(calls) == 1


def test_server_close_when_another_thread_closes_already_then_waits_for_it(call: MakeCall) -> None:
    """Each of them returns when nothing is left."""
    finishing, go = Flag(), trio.Event()

    class Slow(trioserver.StreamRequestHandler):
        async def handle(self) -> None:
            await self.request.receive_some(1)

        async def finish(self) -> None:
            finishing.set()
            await go.wait()

    server = tcp(Slow)
    server.start()
    with client_of(server):
        wait_until(lambda: server.call(requests, server))
        closes = [call(server.server_close) for _ in range(5)]
        finishing.block()
        assert all(each.goes_on() for each in closes)
        server.call(set_event, go)
        for each in closes:
            each.wait()
    assert server.server.state is trioserver.State.CLOSED


async def requests(server: BlockingServer[Any]) -> int:
    return len(server.server.requests)


async def set_event(event: trio.Event) -> None:
    event.set()
