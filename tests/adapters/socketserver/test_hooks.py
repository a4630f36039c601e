"""Which hooks are called for a request: on ``self``, in order, in which thread, with which arguments."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from .kit import HOOKS, STEPS, of_request, receive_all, recording


def handler(request: Any, client_address: Any, server: Any) -> None:
    """Nothing to do."""


def test_b12_the_steps_of_a_connection_are_taken_in_the_thread_that_serves(
    module: Any, make: Any, connect: Any, serving_one: Any
) -> None:
    """Each once, with the connection and the address that get_request() returned; the handler is called."""
    handled: list[Any] = []

    def serve(*args: Any) -> None:
        handled.append((args, threading.get_ident(), len(of_request(args[2]))))

    server = make(recording(module.TCPServer), serve)
    with serving_one(server) as thread:
        client = connect(server)
        assert receive_all(client) == b""
    ((args, handled_in, steps_before),) = handled
    request, address, of_server = args
    assert of_server is server
    assert address == client.getsockname()
    assert (handled_in, steps_before) == (thread.ident, 4)
    calls = of_request(server)
    assert [call[:2] for call in calls] == [
        ("get_request", ()),
        ("verify_request", (request, address)),
        ("process_request", (request, address)),
        ("finish_request", (request, address)),
        ("shutdown_request", (request,)),
        ("close_request", (request,)),
    ]
    assert {call.thread for call in calls} == {thread.ident}
    assert {call.error for call in calls} == {None}


def test_b12_the_steps_of_a_datagram_are_the_same(
    module: Any, make: Any, connect: Any, serving_one: Any
) -> None:
    """Its request is the data, with the socket of the server."""
    server = make(
        recording(module.UDPServer), lambda request, address, _: request[1].sendto(b"reply", address)
    )
    with serving_one(server) as thread:
        client = connect(server)
        client.send(b"data")
        assert client.recv(100) == b"reply"
    calls = of_request(server)
    both = ((b"data", server.socket), client.getsockname())
    assert [call[:2] for call in calls] == [
        ("get_request", ()),
        ("verify_request", both),
        ("process_request", both),
        ("finish_request", both),
        ("shutdown_request", both[:1]),
        ("close_request", both[:1]),
    ]
    assert {call.thread for call in calls} == {thread.ident}


def test_b12_hooks_that_were_replaced_on_the_instance_are_called(
    make: Any, connect: Any, serving_one: Any
) -> None:
    """Programs and tests put functions on the server itself."""
    called: list[str] = []
    server = make("TCPServer", handler)

    def replace(name: str) -> None:
        original = getattr(server, name)

        def replaced(*args: Any) -> Any:
            called.append(name)
            return original(*args)

        setattr(server, name, replaced)

    for name in HOOKS:
        replace(name)
    with serving_one(server):
        assert receive_all(connect(server)) == b""
    assert [name for name in called if name in STEPS] == STEPS


def test_b12_hooks_and_the_handler_are_looked_up_for_each_request(
    make: Any, serving: Any, connect: Any
) -> None:
    """What is replaced while the server serves counts from the next request on."""

    def reply(text: bytes) -> Any:
        return lambda request, *args: request.sendall(text)

    server = make("TCPServer", reply(b"first"))
    with serving(server):
        assert receive_all(connect(server)) == b"first"
        server.RequestHandlerClass = reply(b"second")
        assert receive_all(connect(server)) == b"second"
        server.finish_request = reply(b"third")
        assert receive_all(connect(server)) == b"third"
        accept = server.get_request
        server.get_request = lambda: (accept()[0], "address")
        server.finish_request = lambda request, address: request.sendall(address.encode())
        assert receive_all(connect(server)) == b"address"
        server.process_request = lambda request, address: (request.sendall(b"fourth"), request.close())
        assert receive_all(connect(server)) == b"fourth"
        server.verify_request = lambda *args: False
        assert receive_all(connect(server)) == b""


@pytest.mark.parametrize("hook", ["process_request", "finish_request"])
def test_b12_a_step_that_is_replaced_takes_over_what_follows_from_it(
    module: Any, make: Any, connect: Any, serving_one: Any, hook: str
) -> None:
    """Without process_request() nobody closes the request; finish_request() has nothing to do with that."""
    kept: list[Any] = []
    cls = recording(module.TCPServer, **{hook: lambda self, request, address: kept.append(request)})
    server = make(cls, handler)
    with serving_one(server):
        client = connect(server)
        if hook == "finish_request":
            assert receive_all(client) == b""
        else:
            while not kept:
                assert not client.recv(0)
            kept[0].sendall(b"still open")
            assert client.recv(100) == b"still open"
            kept[0].close()
    end = STEPS.index(hook) + 1
    rest = STEPS[4:] if hook == "finish_request" else []
    assert [call.name for call in of_request(server)] == STEPS[:end] + rest


def test_b12_what_get_request_returns_may_be_anything(
    module: Any, make: Any, connect: Any, serving_one: Any
) -> None:
    """The steps get the two objects as they are; no step's value but that of verify_request() matters."""
    request, address = object(), object()
    handled: list[Any] = []

    def get_request(self: Any) -> Any:
        self.socket.accept()[0].close()
        return [request, address]

    cls = recording(
        module.TCPServer,
        get_request=get_request,
        verify_request=lambda self, *args: "any true value",
        shutdown_request=lambda self, request: True,
    )
    server = make(cls, lambda *args: handled.append(args))
    with serving_one(server):
        assert receive_all(connect(server)) == b""
    assert handled == [(request, address, server)]
    both = (request, address)
    assert [call.args for call in of_request(server)] == [(), both, both, both, (request,)]


@pytest.mark.parametrize("refusal", [False, None, 0, "", []])
def test_b14_a_request_that_verify_request_refuses_is_shut_down_and_nothing_else(
    module: Any, make: Any, connect: Any, serving_one: Any, refusal: Any
) -> None:
    """Any false value refuses."""
    server = make(recording(module.TCPServer, verify_request=lambda self, *args: refusal), handler)
    with serving_one(server) as thread:
        assert receive_all(connect(server)) == b""
    calls = of_request(server)
    request = calls[1].args[0]
    assert [call.name for call in calls] == [
        "get_request",
        "verify_request",
        "shutdown_request",
        "close_request",
    ]
    assert [call.args for call in calls[2:]] == [(request,), (request,)]
    assert {call.thread for call in calls} == {thread.ident}
    assert request.fileno() == -1


def test_b14_by_default_every_request_is_good(module: Any, make: Any) -> None:
    """The hook of the base class says True to anything."""
    assert module.BaseServer(None, None).verify_request(None, None) is True
    assert make("TCPServer", handler).verify_request(object(), object()) is True
