"""B47 and B48: the threading mix-in under other classes, which replace some of its methods."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from .kit import ADDRESS, Flag, receive_all, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]


def reply(request: Any, *args: Any) -> None:
    """A handler: the name of its thread."""
    request.sendall(threading.current_thread().name.encode())


def test_b47_requests_may_be_handed_to_a_pool(
    module: Any, make: Make, serving: Any, connect: Connect
) -> None:
    """By a ``process_request`` that has the pool call ``process_request_thread``; no other thread is made."""
    with ThreadPoolExecutor(1, thread_name_prefix="pool") as pool:

        class Server(module.ThreadingTCPServer):
            def process_request(self, request: Any, client_address: Any) -> None:
                pool.submit(self.process_request_thread, request, client_address)

        server = make(Server, reply)
        with serving(server):
            clients = [connect(server) for _ in range(5)]
            assert [receive_all(client) for client in clients] == [b"pool_0"] * 5


def test_b47_process_request_thread_may_be_extended(
    module: Any, make: Make, serving: Any, connect: Connect
) -> None:
    """It is called in the request's thread, where some close what belongs to the thread."""
    connections = threading.local()
    closed: list[int] = []
    done = Flag()

    class Server(module.ThreadingTCPServer):
        def process_request_thread(self, request: Any, client_address: Any) -> None:
            super().process_request_thread(request, client_address)
            closed.append(connections.number)
            assert request.fileno() == -1
            done.set()

    def handler(*args: Any) -> None:
        connections.number = threading.get_ident()

    server = make(Server, handler)
    with serving(server) as loop:
        assert receive_all(connect(server)) == b""
        done.block()
        assert len(closed) == 1
        assert closed[0] not in (loop.ident, threading.get_ident())


def test_b47_process_request_thread_may_be_replaced_on_the_instance(
    make: Make, serving: Any, connect: Connect
) -> None:
    """It is looked up when a request is processed."""
    server = make("ThreadingTCPServer", None)
    done: list[Any] = []

    def process_request_thread(request: Any, client_address: Any) -> None:
        done.append(client_address)
        request.close()

    server.process_request_thread = process_request_thread
    with serving(server):
        client = connect(server)
        assert receive_all(client) == b""
        assert done == [client.getsockname()]


def test_b47_close_request_may_be_replaced(module: Any, make: Make, serving: Any, connect: Connect) -> None:
    """It is called once, in the request's thread; a request that it keeps stays open, with all its input."""
    kept: list[Any] = []
    handled: list[int] = []

    class Server(module.ThreadingTCPServer):
        def close_request(self, request: Any) -> None:
            kept.append((request, threading.get_ident()))

    def handler(request: Any, *args: Any) -> None:
        request.recv(1, socket.MSG_PEEK)  # it has come, and is left there
        handled.append(threading.get_ident())

    server = make(Server, handler, linger_timeout=0.01)
    with serving(server):
        client = connect(server)
        client.sendall(b"x")
        assert receive_all(client) == b""  # no more is sent to it; the connection is open
        wait_until(lambda: kept)
    [(request, thread)] = kept
    assert [thread] == handled
    with request:
        request.settimeout(1)
        assert request.recv(1) == b"x"


def test_b48_the_mix_in_is_a_plain_class_without_a_constructor(module: Any) -> None:
    """So that it comes first among the bases, and says nothing about how servers are made."""
    mix_in = module.ThreadingMixIn
    assert mix_in.__init__ is object.__init__
    assert not issubclass(mix_in, module.BaseServer)
    for kind in ("TCPServer", "UDPServer", "UnixStreamServer", "UnixDatagramServer"):
        cls = getattr(module, f"Threading{kind}")
        assert cls.__bases__ == (mix_in, getattr(module, kind))
        assert (cls.process_request, cls.server_close) == (mix_in.process_request, mix_in.server_close)


def test_b48_the_mix_in_gives_threads_to_any_server(module: Any, connect: Connect, serving: Any) -> None:
    """That has a constructor, attributes and a ``server_close`` of its own."""
    closed: list[bool] = []

    class Server(module.TCPServer):
        def __init__(self, greeting: bytes) -> None:
            self.greeting = greeting
            super().__init__(ADDRESS, self.greet)

        def greet(self, request: Any, *args: Any) -> None:
            request.sendall(self.greeting + threading.current_thread().name.encode())

        def server_close(self) -> None:
            super().server_close()
            closed.append(self.socket.fileno() == -1)

    class Threading(module.ThreadingMixIn, Server):
        pass

    server = Threading(b"hello ")
    with serving(server):
        reply = receive_all(connect(server))
    assert reply.startswith(b"hello Thread-")
    assert reply.endswith(b"(process_request_thread)")
    assert closed == [True]


def test_b48_the_mix_in_works_without_a_socket(module: Any) -> None:
    """On a `BaseServer` it needs nothing that this does not have."""
    seen: list[Any] = []
    done = Flag()

    class Server(module.ThreadingMixIn, module.BaseServer):
        def close_request(self, request: Any) -> None:
            seen.append(("closed", request, threading.get_ident()))
            done.set()

    def handler(request: Any, *args: Any) -> None:
        seen.append(("handled", request, threading.get_ident()))

    server = Server("anywhere", handler)
    with server:
        server.process_request("entry", "peer")
        done.block()
    assert [(what, request) for what, request, _ in seen] == [("handled", "entry"), ("closed", "entry")]
    assert len({thread for _, _, thread in seen} - {threading.get_ident()}) == 1
