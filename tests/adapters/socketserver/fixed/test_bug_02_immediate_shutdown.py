"""Bug 2: the stdlib's loop polls, so that a shutdown waits for it, and an idle process does not sleep."""

from __future__ import annotations

import contextlib
import itertools
import os
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from .kit import (
    ask_and_settle,
    bounded,
    client_of,
    echo,
    isolated,
    receive,
    serving,
    start,
    variant,
    wait_until,
)

if TYPE_CHECKING:
    from pathlib import Path

POLL_INTERVAL = 10.0


def timed(function: Any) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer", "ForkingTCPServer"])
@isolated
def test_shutdown_when_the_poll_interval_is_long_then_does_not_wait_for_it(
    module: Any, patience: float, name: str
) -> None:
    """The server is idle; each time, and again after it has served."""
    with getattr(module, name)(("127.0.0.1", 0), echo) as server:
        durations = []
        for _ in range(5):
            thread = start(server, POLL_INTERVAL)
            ask_and_settle(server)
            durations.append(timed(lambda: bounded(patience, server.shutdown)))
            bounded(patience, thread.join)
        assert statistics.median(durations) < POLL_INTERVAL / 10


@pytest.mark.parametrize("name", ["UDPServer", "UnixStreamServer"])
@isolated
def test_shutdown_when_the_server_is_of_another_kind_then_does_not_wait_for_the_poll(
    module: Any, patience: float, name: str, tmp_path: Path
) -> None:
    """Nothing of it depends on the transport."""
    address: Any = str(tmp_path / "socket") if "Unix" in name else ("127.0.0.1", 0)
    turns: list[int] = []
    with getattr(module, name)(address, lambda *args: turns.append(1)) as server:
        for count in (1, 2, 3):
            thread = start(server, POLL_INTERVAL)
            with client_of(server) as client:
                with contextlib.suppress(BrokenPipeError):  # over a Unix socket it may have been served
                    client.send(b"hello")
                wait_until(lambda count=count: len(turns) == count)  # type: ignore[misc]
            time.sleep(0.1)  # see `ask_and_settle`
            bounded(patience, server.shutdown)
            bounded(patience, thread.join)


@isolated
def test_shutdown_when_a_handler_of_another_request_is_busy_then_returns(
    module: Any, patience: float
) -> None:
    """That of a threading server: only ``server_close()`` waits for it."""
    with client_of(server := module.ThreadingTCPServer(("127.0.0.1", 0), echo)) as busy:
        with serving(server, POLL_INTERVAL):
            ask_and_settle(server)
            bounded(patience, server.shutdown)
            busy.sendall(b"still served")
            assert receive(busy) == b"still served"


def switches() -> int:
    """How often the other threads of this process have gone to sleep, so far."""
    count = 0
    for task in set(os.listdir("/proc/self/task")) - {str(os.getpid())}:
        with open(f"/proc/self/task/{task}/status") as status:
            count += sum(int(line.split()[1]) for line in status if line.startswith("voluntary_"))
    return count


@pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that tells of each thread")
@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer", "ForkingTCPServer", "UDPServer"])
@isolated
def test_server_when_idle_then_no_thread_wakes_up(module: Any, name: str) -> None:
    """However short the poll interval: there is nothing to poll for."""
    server = getattr(module, name)(("127.0.0.1", 0), lambda *args: None)
    with serving(server, 0.005):
        with client_of(server) as client:
            client.send(b"hello")
        time.sleep(0.25)  # what came of that is over: after 0.1 s trio looks at requests that still run
        before = switches()
        time.sleep(0.2)
        assert switches() == before


@pytest.mark.parametrize("name", ["TCPServer", "ThreadingTCPServer"])
def test_service_actions_when_overridden_then_is_called_at_each_poll_interval(either: Any, name: str) -> None:
    """The contract: programs do their periodic work in it, so that with one the loop turns as before."""
    times: list[float] = []

    def service_actions(self: Any) -> None:
        times.append(time.monotonic())

    server = variant(getattr(either, name), service_actions=service_actions)(("127.0.0.1", 0), echo)
    with serving(server, 0.02):
        wait_until(lambda: len(times) >= 6)
    pauses = [after - before for before, after in itertools.pairwise(times)]
    assert statistics.median(pauses[:5]) >= 0.019


def test_service_actions_when_set_on_the_server_then_is_called_too(either: Any) -> None:
    """An attribute of the instance is an override as well."""
    calls: list[int] = []
    server = either.TCPServer(("127.0.0.1", 0), echo)
    server.service_actions = lambda: calls.append(1)
    with serving(server, 0.005):
        wait_until(lambda: len(calls) >= 3)
