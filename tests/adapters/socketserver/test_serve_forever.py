"""serve_forever(): one request after the other in the thread that called it, and service_actions()."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import pytest

from .kit import STEPS, Flag, ask_to_stop, names, of_request, receive_all, recording

LONG = 60
"""A poll interval that does not pass during a test."""


def handler(request: Any, client_address: Any, server: Any) -> None:
    """Nothing to do."""


def test_b21_timeouts_do_not_count_while_serving_for_ever(
    module: Any, make: Any, serving: Any, connect: Any
) -> None:
    """Neither that of the server nor that of its socket; handle_timeout() is never called."""
    server = make(recording(module.TCPServer), handler, timeout=0)
    server.socket.settimeout(0.001)
    idle = Flag()
    times = iter(range(5))

    def actions() -> None:
        if next(times, None) is None:
            idle.set()

    server.service_actions = actions
    with serving(server, 0.001):
        idle.block()
        assert receive_all(connect(server)) == b""
    assert "handle_timeout" not in names(server)


def test_b21_the_poll_interval_has_a_name_and_half_a_second_is_the_default(module: Any) -> None:
    """As programs that override the method have it."""
    parameters = inspect.signature(module.BaseServer.serve_forever).parameters
    assert list(parameters) == ["self", "poll_interval"]
    assert parameters["poll_interval"].default == 0.5


@pytest.mark.parametrize("poll_interval", [0, 0.001, 1, 3600, None])
def test_b21_requests_are_served_at_once_whatever_the_poll_interval(
    make: Any, serving: Any, connect: Any, poll_interval: float | None
) -> None:
    """And the return value is None."""
    server = make("TCPServer", lambda request, *args: request.sendall(b"served"))
    with serving(server, poll_interval) as loop:
        assert receive_all(connect(server)) == b"served"
        assert receive_all(connect(server)) == b"served"
    assert loop.wait() is None


def test_b26_one_request_is_served_at_a_time_in_the_thread_of_the_loop(
    module: Any, make: Any, serving: Any, connect: Any
) -> None:
    """The next one is not even accepted while a handler runs."""
    began, go_on = Flag(), Flag()

    def serve(request: Any, *args: Any) -> None:
        threads.append(threading.get_ident())
        began.set()
        go_on.block()

    threads: list[int] = []
    server = make(recording(module.TCPServer), serve)
    with serving(server) as loop:
        first = connect(server)
        began.block()
        second = connect(server)
        assert loop.goes_on()
        assert [call.name for call in of_request(server)] == STEPS[:4]
        assert len(threads) == 1
        go_on.set()
        assert receive_all(first) == receive_all(second) == b""
    assert [call.name for call in of_request(server)] == STEPS * 2
    assert threads == [loop.ident] * 2


def test_b26_any_thread_may_serve_after_another(module: Any, make: Any, call: Any, connect: Any) -> None:
    """Each runs the hooks of its own turn: the loop, a single request, the loop again, and this thread."""
    server = make(recording(module.TCPServer), lambda request, address, server: ask_to_stop(server))
    threads: list[int | None] = []

    def loop() -> None:
        server.serve_forever(0.01)

    def one() -> None:
        server.RequestHandlerClass, before = handler, server.RequestHandlerClass
        server.handle_request()
        server.RequestHandlerClass = before

    for turn in (loop, one, loop):
        client = connect(server)
        thread = call(turn)
        thread.wait()
        threads.append(thread.ident)
        assert receive_all(client) == b""
    client = connect(server)
    server.serve_forever(0.01)
    assert receive_all(client) == b""
    threads.append(threading.get_ident())
    assert [step.thread for step in of_request(server)] == [each for each in threads for _ in STEPS]


def test_b26_servers_of_one_process_do_not_know_of_each_other(make: Any, serving: Any, connect: Any) -> None:
    """Each thread serves its own, and ends for itself."""
    one, other = (make("TCPServer", lambda request, *_, n=n: request.sendall(n)) for n in (b"1", b"2"))
    with serving(one) as loop:
        with serving(other):
            assert receive_all(connect(one)) == b"1"
            assert receive_all(connect(other)) == b"2"
        assert loop.goes_on()
        assert receive_all(connect(one)) == b"1"


def test_b21_datagrams_are_served_as_connections_are(
    module: Any, make: Any, serving: Any, connect: Any
) -> None:
    """With the same hooks, each once."""
    server = make(recording(module.UDPServer), lambda request, address, _: request[1].sendto(b"x", address))
    server.calls = []
    with serving(server, LONG):
        for _ in range(2):
            client = connect(server)
            client.send(b"")
            assert client.recv(100) == b"x"
    assert names(server) == [*STEPS, "service_actions"] * 2 + ["server_close"]
