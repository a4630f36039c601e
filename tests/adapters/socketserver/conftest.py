"""Both modules, the stdlib's and ours: each test of this folder runs over both and leaves nothing behind."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import socketserver
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from .kit import ADDRESS, Call, ask_to_stop, wake_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(params=["stdlib", "ours"])
def module(request: pytest.FixtureRequest) -> Any:
    """The module under test."""
    if request.param == "stdlib":
        return socketserver
    return importlib.import_module("trioserver_adapters.socketserver")


@pytest.fixture
def is_ours(module: Any) -> bool:
    """Whether it is ours."""
    return module is not socketserver


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No thread, no child process, and no child that got out of its handler, into this code."""
    pid = os.getpid()
    before = set(threading.enumerate())
    yield
    if os.getpid() != pid:
        os._exit(99)
    until = time.monotonic() + 2  # daemon threads, that nobody waits for, end by themselves
    while (left := set(threading.enumerate()) - before) and time.monotonic() < until:
        time.sleep(0.001)
    assert left == set()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


@pytest.fixture
def call(nothing_is_left: None) -> Iterator[Callable[..., Call]]:
    """``call(function, *args)``: a `Call` in another thread, that ends before the test does."""
    calls: list[Call] = []

    def call(function: Callable[..., Any], *args: Any) -> Call:
        calls.append(Call(function, *args))
        return calls[-1]

    yield call
    for each in calls:
        each.join(5)
    assert [each for each in calls if each.is_alive()] == []


@pytest.fixture
def make(module: Any, call: Callable[..., Call]) -> Iterator[Callable[..., Any]]:
    """``make(cls, handler, address=..., **attributes)``: a server, closed at the end.

    ``cls`` may be a name of the module's. The attributes are set on the instance before its constructor is
    called.
    """
    servers: list[Any] = []

    def make(cls: Any, handler: Any, address: Any = ADDRESS, bind: bool = True, **attributes: Any) -> Any:
        cls = getattr(module, cls) if isinstance(cls, str) else cls
        server = cls.__new__(cls)
        for name, value in attributes.items():
            setattr(server, name, value)
        cls.__init__(server, address, handler, bind)
        servers.append(server)
        return server

    yield make
    for each in servers:
        Call(each.server_close).wait()


@pytest.fixture
def connect(make: Callable[..., Any]) -> Iterator[Callable[..., socket.socket]]:
    """``connect(server)``: a client's socket, with a timeout of 10 s, closed before the servers are.

    Of ``local`` datagram sockets of Unix, to which a reply can be sent, it is the path.
    """
    clients: list[socket.socket] = []

    def connect(server: Any, local: Any = None) -> socket.socket:
        client = socket.socket(server.address_family, server.socket_type)
        clients.append(client)
        client.settimeout(10)
        if local is not None:
            client.bind(local)
        client.connect(server.server_address)
        return client

    yield connect
    for each in clients:
        each.close()


@pytest.fixture
def serving(call: Callable[..., Call], is_ours: bool) -> Callable[..., Any]:
    """``with serving(server) as loop``: ``serve_forever()`` in another thread, a `Call`.

    At the end of the block the server is shut down, the thread has ended, and the server is closed. What
    ``serve_forever()`` raised is raised there, unless the block has taken it: ``loop.wait()`` does. The
    stdlib's loop is woken up by one more client, whom it does not serve, where its poll interval is long.
    """

    @contextlib.contextmanager
    def serving(server: Any, poll_interval: float | None = 0.01) -> Iterator[Call]:
        loop = call(server.serve_forever, poll_interval)
        try:
            yield loop
        finally:
            if not is_ours and (poll_interval is None or poll_interval > 0.1):
                ask_to_stop(server)
                wake_up(server)
            call(server.shutdown).wait()
            loop.join(10)
            stopped = not loop.is_alive()
            call(server.server_close).wait()
            assert stopped
        if not loop.taken:
            loop.wait()

    return serving


@pytest.fixture(params=["handle_request", "serve_forever"])
def serving_one(
    request: pytest.FixtureRequest, serving: Any, call: Callable[..., Call]
) -> Callable[..., Any]:
    """``with serving_one(server) as thread``: another thread serves one request, in either way.

    What it raises is raised at the end of the block, or by ``thread.wait()``.
    """

    @contextlib.contextmanager
    def serving_one(server: Any) -> Iterator[Call]:
        if request.param == "handle_request":
            thread = call(server.handle_request)
            yield thread
            if not thread.taken:
                assert thread.wait() is None
        else:
            with serving(server) as thread:
                yield thread

    return serving_one
