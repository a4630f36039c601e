"""Bug 12: where the clocks are frozen, the stdlib's ``handle_request()`` waits for what never comes."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from .kit import (
    ask,
    bounded,
    client_of,
    echo,
    echo_until_the_end,
    isolated,
    receive,
    receive_all,
    start,
    variant,
)

ADDRESS = ("127.0.0.1", 0)
CLOCKS = ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns")
IGNORED = ("threading", "multiprocessing", "queue", "_pytest.", "selenium", "gi", "six.moves")
"""As in freezegun, whose list has more."""


def freeze(step: float = 0.0) -> None:
    """Replace the clocks wherever they were imported to, as freezegun does it.

    Args:
      step: Seconds that each look at a clock takes; negative for one that goes backwards.
    """
    fakes: dict[int, Any] = {}
    clocks = [getattr(time, name) for name in CLOCKS]  # kept: nothing else may get their ids
    for name, clock in zip(CLOCKS, clocks, strict=True):
        fakes[id(clock)] = fake(10**9 if name.endswith("_ns") else 1, step)
    for name, module in list(sys.modules.items()):
        if name.startswith(IGNORED):
            continue
        for attribute, value in list(vars(module).items()):
            if id(value) in fakes:
                setattr(module, attribute, fakes[id(value)])


def fake(unit: int, step: float) -> Any:
    """A clock."""
    now = [1_000_000.0]

    def clock() -> float:
        now[0] += step
        return now[0] * unit

    return clock


@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer", "ForkingTCPServer", "UDPServer"])
@isolated
def test_handle_request_when_the_clocks_are_frozen_then_times_out_nevertheless(
    module: Any, patience: float, name: str
) -> None:
    """With the timeout of the server and with that of its socket."""
    timeouts: list[int] = []

    def handle_timeout(self: Any) -> str:
        timeouts.append(1)
        return "timed out"

    with variant(getattr(module, name), handle_timeout=handle_timeout)(ADDRESS, echo) as server:
        freeze()
        server.timeout = 0.05
        assert bounded(patience, server.handle_request) == "timed out"
        server.timeout = None
        server.socket.settimeout(0.05)
        assert bounded(patience, server.handle_request) == "timed out"
    assert len(timeouts) == 2


@isolated
def test_handle_request_when_clocks_were_frozen_in_between_then_times_out(
    module: Any, patience: float
) -> None:
    """What runs already when they are."""
    with variant(module.TCPServer, timeout=0.05)(ADDRESS, echo) as server:
        bounded(patience, server.handle_request)
        freeze()
        for _ in range(2):
            bounded(patience, server.handle_request)


@isolated
def test_handle_request_when_the_clocks_go_backwards_then_times_out(module: Any, patience: float) -> None:
    """Each look at them an hour."""
    with variant(module.TCPServer, timeout=0.05)(ADDRESS, echo) as server:
        freeze(-3600)
        bounded(patience, server.handle_request)


@isolated
def test_server_when_the_clocks_are_frozen_then_serves_and_ends_its_grace_period(
    module: Any, patience: float
) -> None:
    """Nothing else hangs on them: neither shutdown nor what comes after it."""
    server = variant(module.ThreadingTCPServer, grace_period=0.05, timeout=0.05)(ADDRESS, echo_until_the_end)
    freeze()
    bounded(patience, server.handle_request)
    with client_of(server) as client:
        thread = start(server)
        client.sendall(b"hello")
        assert receive(client) == b"hello"
        bounded(patience, server.shutdown)
        bounded(patience, thread.join)
        bounded(patience, server.server_close)
        assert receive(client) == b""


@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer", "ForkingTCPServer"])
@isolated
def test_linger_timeout_when_the_clocks_are_frozen_then_passes(
    module: Any, patience: float, name: str
) -> None:
    """A client that does not close keeps neither a descriptor nor a process for longer."""
    server = variant(getattr(module, name), linger_timeout=0.05, timeout=0.05)(ADDRESS, echo)
    freeze()
    bounded(patience, server.handle_request)
    thread = start(server)
    with client_of(server) as client:
        client.sendall(b"y" * 200_000)
        receive_all(client)
        bounded(patience, server.shutdown)
        bounded(patience, thread.join)
        bounded(patience, server.server_close)


@isolated
def test_request_timeout_when_the_clocks_are_frozen_then_passes(module: Any, patience: float) -> None:
    """Those of requests are measured with the same clock."""
    with variant(module.TCPServer, request_timeout=0.05)(ADDRESS, echo) as server:
        freeze()
        thread = start(server)
        with client_of(server):
            assert ask(server, b"hello", patience) == b"hello"
        bounded(patience, server.shutdown)
        bounded(patience, thread.join)
