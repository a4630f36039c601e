"""The end of a process whose request is cancelled, in each way and at each moment (P1, P5)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import trio
import trio.testing
from forking import Server, has_children, ready_then_wait, serving
from harness import client_of, receive_all, receive_exactly

import trioserver
from trioserver import Outcome, Timeout


def stubborn(request: Any, client_address: Any, server: Any) -> None:
    """Does not listen to SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    request.sendall(b"r")
    while True:
        signal.pause()


def tidy(request: Any, client_address: Any, server: Any) -> None:
    """Has something to do in the end."""
    try:
        ready_then_wait(request, client_address, server)
    finally:
        request.sendall(b"bye")


@pytest.fixture(params=["pidfd", "no descriptors", "thread", "poll"])
def way_to_wait(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How the end of a process is noticed: as on Linux, in want of descriptors, as elsewhere."""
    way: str = request.param
    if way == "no descriptors":

        def too_many(pid: int) -> int:
            raise OSError(24, "too many open files")

        monkeypatch.setattr(os, "pidfd_open", too_many, raising=False)
    elif way != "pidfd":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    if way == "poll":
        monkeypatch.delattr(os, "waitid")
    return way


async def test_request_when_cancelled_then_its_process_is_terminated_and_reaped(
    way_to_wait: str, io_path: str
) -> None:
    """SIGTERM lets ``finally`` clauses run, and the connection ends with the process."""
    async with serving(tidy) as server, client_of(server) as client:
        assert await receive_exactly(client, 1) == b"r"
        server.requests[0].cancel()
        assert await receive_all(client) == b"bye"
        event = await server.wait_ended()
        assert (event.outcome, event.exit_status) == (Outcome.CANCELLED, -signal.SIGTERM)
        assert event.timeouts == ()
        assert not has_children()


async def test_process_when_it_ignores_sigterm_then_is_killed_after_finish_timeout(way_to_wait: str) -> None:
    """And not before; the event says so."""
    async with serving(stubborn, finish_timeout=0.05) as server, client_of(server) as client:
        assert await receive_exactly(client, 1) == b"r"
        begin = time.monotonic()
        server.requests[0].cancel()
        event = await server.wait_ended()
        assert 0.05 <= time.monotonic() - begin < 1.05
    assert (event.outcome, event.exit_status) == (Outcome.CANCELLED, -signal.SIGKILL)
    assert event.timeouts == (Timeout.FINISH,)


async def test_process_when_it_catches_sigterm_by_itself_then_ends_as_it_likes() -> None:
    """The status is its own."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
        ready_then_wait(request, client_address, server)

    async with serving(handler) as server, client_of(server) as client:
        assert await receive_exactly(client, 1) == b"r"
        server.requests[0].cancel()
        event = await server.wait_ended()
    assert (event.outcome, event.exit_status) == (Outcome.CANCELLED, 5)


async def test_process_when_its_finally_clause_hangs_then_a_second_sigterm_ends_it() -> None:
    """Only the first one is an exception."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        try:
            ready_then_wait(request, client_address, server)
        finally:
            request.sendall(b"f")
            while True:
                signal.pause()

    async with serving(handler) as server, client_of(server) as client:
        assert await receive_exactly(client, 1) == b"r"
        (pid,) = server.active_children
        server.requests[0].cancel()
        assert await receive_exactly(client, 1) == b"f"
        os.kill(pid, signal.SIGTERM)
        assert (await server.wait_ended()).exit_status == -signal.SIGTERM


async def test_process_when_stopped_then_can_be_cancelled_nevertheless() -> None:
    """SIGKILL ends it where SIGTERM has to wait for it."""
    async with serving(ready_then_wait, finish_timeout=0.02) as server, client_of(server) as client:
        assert await receive_exactly(client, 1) == b"r"
        (pid,) = server.active_children
        os.kill(pid, signal.SIGSTOP)
        server.requests[0].cancel()
        assert (await server.wait_ended()).exit_status == -signal.SIGKILL


async def test_request_timeout_when_over_then_the_process_is_terminated(
    mock_clock: trio.testing.MockClock,
) -> None:
    """Which timeout it was is in the event."""
    async with serving(ready_then_wait, request_timeout=1) as server, client_of(server) as client:
        assert await receive_exactly(client, 1) == b"r"
        mock_clock.jump(1)  # by hand, and not before the process is ready
        assert await receive_all(client) == b""
        event = await server.wait_ended()
    assert (event.outcome, event.exit_status) == (Outcome.CANCELLED, -signal.SIGTERM)
    assert event.timeouts == (Timeout.REQUEST,)


@pytest.mark.parametrize("how", ["shutdown", "server_close", "cancelled"])
async def test_p1_when_serving_ends_then_no_process_is_left(how: str) -> None:
    """Stubborn ones included, within ``finish_timeout`` (P5)."""
    server = Server(stubborn, finish_timeout=0.05, block_on_close=False)
    begin = 0.0
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with client_of(server) as first, client_of(server) as second:
            for client in (first, second):
                assert await receive_exactly(client, 1) == b"r"
            assert len(server.active_children) == 2
            begin = time.monotonic()
            if how == "shutdown":
                report = await server.shutdown()
                assert (report.accepted, report.cancelled) == (2, 2)
                assert not has_children()
            elif how == "server_close":
                await server.server_close()
                assert not has_children()
            else:
                nursery.cancel_scope.cancel()
    assert time.monotonic() - begin < 1
    assert not has_children()
    assert not server.active_children


async def test_shutdown_when_it_drains_then_processes_may_go_on_until_they_are_done() -> None:
    """A grace period is theirs."""
    server = Server(ready_then_wait)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve_forever)
        async with client_of(server) as client:
            assert await receive_exactly(client, 1) == b"r"
            server.request_shutdown(None)
            await client.send_all(b"x")
            assert await receive_all(client) == b""
    assert (server.ended[0].outcome, server.ended[0].exit_status) == (Outcome.FINISHED, 0)


async def test_handle_request_when_it_returns_then_the_process_was_reaped() -> None:
    """The stdlib's leaves a zombie."""
    async with Server(lambda request, *_: request.sendall(b"x")) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server.handle_request)
            async with client_of(server) as client:
                assert await receive_all(client) == b"x"
        assert not has_children()


class CancelAtStep(trio.abc.Instrument):
    """Calls a function before the k-th step of any task."""

    def __init__(self, k: int, function: Any) -> None:
        self.left = k
        self.function = function

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.left -= 1
        if self.left == 0:
            self.function()


async def test_p1_when_cancelled_before_each_step_then_no_process_is_left(way_to_wait: str) -> None:
    """From accepting the connection to closing it: also before the fork, and while it is reaped."""
    step = 0
    done = False
    while not done:
        step += 1
        server = Server(lambda request, *_: request.recv(1), max_children=2)
        instrument = CancelAtStep(step, server.request_shutdown)
        async with server:
            async with client_of(server) as client:
                await client.send_all(b"x")
                trio.lowlevel.add_instrument(instrument)
                try:
                    await server.handle_request()
                finally:
                    trio.lowlevel.remove_instrument(instrument)
            assert not has_children()
            assert not server.active_children
            statistics = server.statistics()
            assert statistics.accepted == statistics.finished + statistics.cancelled + statistics.failed
            assert statistics.failed == 0
        done = instrument.left > 0
    assert step > 5


async def test_request_when_cancelled_before_the_fork_then_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There would be nothing for the process to do."""
    forks = 0

    def fork() -> int:
        nonlocal forks
        forks += 1
        raise BlockingIOError

    class Cancelling(Server):
        async def verify_request(self, request: trioserver.RequestStream, client_address: Any) -> bool:
            self.requests[0].cancel()
            return True

    monkeypatch.setattr(os, "fork", fork)
    async with Cancelling(stubborn).running() as server, client_of(server) as client:
        assert await receive_all(client) == b""
        assert (await server.wait_ended()).outcome is Outcome.CANCELLED
    assert forks == 0


async def test_fork_when_it_fails_then_is_an_error_of_that_request_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The client sees the end; the next one is served; no descriptor is lost."""
    fork = os.fork

    def fail_once() -> int:
        monkeypatch.setattr(os, "fork", fork)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fail_once)
    async with serving(lambda request, *_: request.sendall(b"x")) as server:
        before = len(os.listdir("/dev/fd"))
        async with client_of(server) as client:
            assert await receive_all(client) == b""
        assert isinstance((await server.wait_ended()).error, BlockingIOError)
        assert len(os.listdir("/dev/fd")) == before
        async with client_of(server) as client:
            assert await receive_all(client) == b"x"
    assert len(caplog.records) == 1


async def test_children_of_others_when_they_end_then_are_left_to_them() -> None:
    """Only its own processes are waited for."""
    command = [sys.executable, "-S", "-c", "raise SystemExit(7)"]
    with subprocess.Popen(command) as theirs:  # noqa: ASYNC220  trio's would be waited for at once
        async with serving(lambda *_: None, max_children=1) as server:
            for _ in range(3):
                async with client_of(server) as client:
                    assert await receive_all(client) == b""
            await trio.to_thread.run_sync(os.waitid, os.P_PID, theirs.pid, os.WEXITED | os.WNOWAIT)
            async with client_of(server) as client:
                assert await receive_all(client) == b""
        assert theirs.poll() == 7


async def test_process_when_interrupted_and_then_cancelled_then_its_finally_clauses_are_not() -> None:
    """As at Ctrl-C, which makes the parent cancel its request, too."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        try:
            ready_then_wait(request, client_address, server)
        finally:
            request.sendall(b"f")
            while signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:  # until SIGTERM has come
                time.sleep(0.001)
            request.sendall(b"bye")

    async with serving(handler) as server, client_of(server) as client:
        assert await receive_exactly(client, 1) == b"r"
        (pid,) = server.active_children
        os.kill(pid, signal.SIGINT)
        assert await receive_exactly(client, 1) == b"f"
        server.requests[0].cancel()
        assert await receive_all(client) == b"bye"
        event = await server.wait_ended()
    assert (event.outcome, event.exit_status) == (Outcome.CANCELLED, -signal.SIGINT)


PROGRAM = """
import signal, sys, time, trio, trioserver

def handler(request, client_address, server):
    try:
        request.sendall(b"r")
        time.sleep(60)
    finally:
        request.sendall(b"bye")

async def main():
    async with trioserver.ForkingTCPServer(("127.0.0.1", 0), handler) as server:
        print(server.server_address[1], flush=True)
        await server.serve_forever()

try:
    trio.run(main)
except KeyboardInterrupt:
    print("ended")
"""


async def test_ctrl_c_when_it_comes_to_all_processes_of_the_terminal_then_all_end_quietly() -> None:
    """The process gets a KeyboardInterrupt of its own, and the server waits for it."""
    program = await trio.lowlevel.open_process(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert program.stdout is not None
    assert program.stderr is not None
    async with program.stdout, program.stderr:
        line = b""
        while not line.endswith(b"\n"):
            line += await receive_exactly(program.stdout, 1)
        port = int(line)
        async with await trio.open_tcp_stream("127.0.0.1", port) as client:
            assert await receive_exactly(client, 1) == b"r"
            os.killpg(program.pid, signal.SIGINT)
            assert await receive_all(client) == b"bye"
        assert await receive_all(program.stdout) == b"ended\n"
        assert await receive_all(program.stderr) == b""
        assert await program.wait() == 0


def test_server_in_another_thread_when_its_process_is_cancelled_then_signals_work_there_too() -> None:
    """The thread that forks is the main one of the process."""
    result: list[Any] = []

    async def main() -> None:
        async with serving(tidy) as server, client_of(server) as client:
            assert await receive_exactly(client, 1) == b"r"
            server.requests[0].cancel()
            result.append(await receive_all(client))
            result.append((await server.wait_ended()).exit_status)

    async def beside() -> None:
        await trio.to_thread.run_sync(trio.run, main)

    trio.run(beside)
    assert result == [b"bye", -signal.SIGTERM]


async def test_run_when_it_breaks_down_then_the_process_is_killed_and_reaped() -> None:
    """Even where nothing can be awaited any more, as when a coroutine is closed."""
    server = Server(stubborn)
    async with server:
        async with client_of(server) as client:
            request, address = await server.get_request()
            coroutine: Any = server.process_request(request, address)
            coroutine.send(None)  # the checkpoint before the fork may wait, or not
            assert await receive_exactly(client, 1) == b"r"
            coroutine.close()
            assert not has_children()
            request.close()
