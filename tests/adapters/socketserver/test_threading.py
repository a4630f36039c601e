"""B43 and B60: the thread of a request, and what runs in it."""

from __future__ import annotations

import re
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest

from .kit import Flag, names, receive_all, recording, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]

CLASSES = (
    "ThreadingTCPServer",
    "ThreadingUDPServer",
    "ThreadingUnixStreamServer",
    "ThreadingUnixDatagramServer",
)


class Held:
    """A handler that keeps its threads, and returns when it is released."""

    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []
        self.released = Flag()

    def __call__(self, *args: Any) -> None:
        self.threads.append(threading.current_thread())
        self.released.block()


@pytest.mark.parametrize("name", CLASSES)
def test_b43_each_request_has_a_thread_of_its_own(
    make: Make, serving: Any, connect: Connect, tmp_path: Path, name: str
) -> None:
    """They run at the same time, beside the thread that serves, which waits for none of them."""
    held = Held()
    address = {"address": str(tmp_path / "server")} if "Unix" in name else {}
    server = make(name, held, **address)
    with serving(server) as loop:
        clients = [connect(server) for _ in range(3)]
        for client in clients:
            if client.type == socket.SOCK_DGRAM:
                client.send(b"x")
        wait_until(lambda: len(held.threads) == 3)
        assert len({*held.threads, loop, threading.current_thread()}) == 5
        held.released.set()


@pytest.mark.parametrize("where", ["default", "ThreadingMixIn", "class", "instance"])
@pytest.mark.parametrize("daemon", [False, True])
def test_b43_the_thread_is_like_any_that_a_program_starts(
    module: Any,
    make: Make,
    connect: Connect,
    where: str,
    daemon: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A plain one, a daemon if ``daemon_threads`` says so, wherever it is set; with the default name."""
    held = Held()

    class Server(module.ThreadingTCPServer):
        pass

    server = make(Server, held)
    owner = {"ThreadingMixIn": module.ThreadingMixIn, "class": Server, "instance": server}.get(where)
    if owner is not None:
        monkeypatch.setattr(owner, "daemon_threads", daemon, raising=False)
    connect(server)
    server.handle_request()
    wait_until(lambda: held.threads)
    [thread] = held.threads
    assert type(thread) is threading.Thread
    assert thread.daemon is (daemon if owner is not None else False)
    assert re.fullmatch(r"Thread-\d+ \(process_request_thread\)", thread.name)
    assert thread in threading.enumerate()
    held.released.set()


@pytest.mark.parametrize("reuse", [False, True])
def test_b43_a_thread_serves_one_request_and_ends(
    module: Any, is_ours: bool, make: Make, serving: Any, connect: Connect, reuse: bool
) -> None:
    """Thread locals are not handed on; ours does if asked to, by an attribute unknown to the stdlib."""
    local = threading.local()
    threads: list[threading.Thread] = []
    found: list[int] = []

    def handler(*args: Any) -> None:
        found.append(getattr(local, "requests", 0))
        local.requests = found[-1] + 1
        threads.append(threading.current_thread())

    server = make("ThreadingTCPServer", handler, reuse_threads=reuse)
    with serving(server):
        for count in range(1, 4):
            assert receive_all(connect(server)) == b""
            assert len(threads) == count
            if is_ours and reuse:
                # Or the next request could need another one.
                wait_until(lambda: vars(server)["_ThreadingMixIn__idle_workers"]._idle)
            else:
                threads[-1].join(5)
                assert not threads[-1].is_alive()
    if is_ours and reuse:
        assert found == [0, 1, 2]
        assert len(set(threads)) == 1
    else:
        assert found == [0, 0, 0]
        assert len(set(threads)) == 3


def test_b43_the_request_is_taken_in_the_loops_thread_and_served_in_its_own(
    module: Any, make: Make, serving: Any, connect: Connect
) -> None:
    """Which hook is called in which of them, in order, with what."""
    served: list[Any] = []

    class Server(recording(module.ThreadingTCPServer)):  # type: ignore[misc]
        def process_request_thread(self, *args: Any) -> None:
            served.append(("process_request_thread", args))
            super().process_request_thread(*args)

    def handler(request: Any, *args: Any) -> None:
        served.append((request, threading.get_ident()))

    server = make(Server, handler)
    with serving(server) as loop:
        client = connect(server)
        peer = client.getsockname()
        assert receive_all(client) == b""
        wait_until(lambda: "close_request" in names(server))
        calls = list(server.calls)
    (name, args), (request, thread) = served
    both = (request, peer)
    assert (name, args) == ("process_request_thread", both)
    taken = [call for call in calls if call.thread == loop.ident]
    in_its_own = [call for call in calls if call.thread == thread]
    assert [(call.name, call.args) for call in taken if call.name != "service_actions"] == [
        ("get_request", ()),
        ("verify_request", both),
        ("process_request", both),
    ]
    assert [(call.name, call.args) for call in in_its_own] == [
        ("finish_request", both),
        ("shutdown_request", (request,)),
        ("close_request", (request,)),
    ]


def test_b43_process_request_starts_the_thread_and_returns(module: Any) -> None:
    """Without a loop, for those who take requests in their own way; it returns None."""
    held = Held()
    server = module.ThreadingUDPServer(("127.0.0.1", 0), held)
    with server:
        assert server.process_request((b"", server.socket), "peer") is None
        wait_until(lambda: held.threads)
        assert held.threads[0] is not threading.current_thread()
        held.released.set()


def test_b60_a_handler_with_a_thread_may_shut_the_server_down(
    make: Make, call: Callable[..., Any], connect: Connect
) -> None:
    """``shutdown()`` waits in the handler for the loop to end, and returns there."""
    ended = Flag()

    def handler(request: Any, client_address: Any, server: Any) -> None:
        server.shutdown()
        ended.set()

    server = make("ThreadingTCPServer", handler)
    loop = call(server.serve_forever, 0.01)
    connect(server)
    assert loop.wait() is None
    ended.block()
