"""service_actions(): after each request, at each poll interval, and in the thread of the loop."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from .kit import STEPS, Flag, ask_to_stop, names, receive_all, recording, wake_up

LONG = 60
"""A poll interval that does not pass during a test."""


def handler(request: Any, client_address: Any, server: Any) -> None:
    """Nothing to do."""


def test_b22_service_actions_are_called_once_for_each_request(
    module: Any, make: Any, serving: Any, connect: Any
) -> None:
    """After it, in the thread of the loop; requests that wait are not taken together."""
    server = make(recording(module.TCPServer), handler)
    clients = [connect(server) for _ in range(3)]
    server.calls = []
    with serving(server, LONG) as loop:
        for client in clients:
            assert receive_all(client) == b""
    assert names(server) == [*STEPS, "service_actions"] * 3 + ["server_close"]
    assert {call.thread for call in server.calls[:-1]} == {loop.ident}
    assert {call.args for call in server.calls if call.name == "service_actions"} == {()}


def test_b22_service_actions_are_called_after_requests_that_were_refused_or_failed(
    module: Any, make: Any, serving: Any, connect: Any
) -> None:
    """What becomes of a request does not matter to the loop."""
    answers = iter([False, True, True])
    cls = recording(
        module.TCPServer,
        verify_request=lambda *args: next(answers),
        process_request=lambda *args: 1 / 0,
        handle_error=lambda *args: None,
    )
    server = make(cls, handler)
    server.calls = []
    with serving(server, LONG):
        for _ in range(3):
            assert receive_all(connect(server)) == b""
    assert names(server).count("service_actions") == 3
    assert [call.name for call in server.calls if call.name in ("verify_request", "service_actions")] == [
        "verify_request",
        "service_actions",
    ] * 3


@pytest.mark.parametrize("where", ["class", "instance"])
def test_b22_service_actions_are_called_at_each_poll_interval_of_an_idle_server(
    make: Any, module: Any, serving: Any, where: str
) -> None:
    """Not earlier than that, and in the thread of the loop."""
    called: list[int] = []
    enough = Flag()

    def actions(*args: Any) -> None:
        called.append(threading.get_ident())
        if len(called) == 30:
            enough.set()

    if where == "class":
        server = make(recording(module.TCPServer, service_actions=actions), handler)
    else:
        server = make("TCPServer", handler, service_actions=actions)
    begin = time.monotonic()
    with serving(server, 0.005) as loop:
        enough.block()
        assert time.monotonic() - begin >= 30 * 0.005
    assert set(called) == {loop.ident}


def test_b22_service_actions_that_were_replaced_while_serving_are_called(
    make: Any, serving: Any, connect: Any
) -> None:
    """From the next request on, like every hook."""
    server = make("TCPServer", handler)
    called: list[int] = []
    with serving(server, LONG) as loop:
        assert receive_all(connect(server)) == b""
        server.service_actions = lambda: called.append(threading.get_ident())
        assert receive_all(connect(server)) == b""
        assert receive_all(connect(server)) == b""
    assert called[:1] == [loop.ident]


def test_b22_service_actions_are_called_for_the_last_request_before_the_loop_ends(
    module: Any, make: Any, connect: Any, call: Any
) -> None:
    """But not when the end was asked for while nothing was there to do."""
    server = make(recording(module.TCPServer), lambda request, address, server: ask_to_stop(server))
    server.calls = []
    client = connect(server)
    assert call(server.serve_forever, LONG).wait() is None
    assert receive_all(client) == b""
    assert names(server) == [*STEPS, "service_actions"]
    idle = make(recording(module.TCPServer), handler)
    idle.calls = []
    loop = call(idle.serve_forever, LONG)
    assert loop.goes_on()
    ask_to_stop(idle)
    wake_up(idle)
    loop.wait()
    assert names(idle) == []


def test_b22_the_base_class_does_nothing_in_service_actions(module: Any) -> None:
    """It has the method, without arguments."""
    assert module.BaseServer(None, None).service_actions() is None
