"""Stopping workers: drain, then cancel, then kill; and nothing is left, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing
import worker_programs
from harness import receive_all

import trioserver
from trioserver import State, WorkerEnded, WorkerState

from .kit import LOOPBACK, Client, Watched, client_of, client_of_worker, talking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


async def test_shutdown_when_requests_run_then_all_workers_wait_for_them() -> None:
    """At the same time; who comes meanwhile is refused."""
    workers = talking(workers=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(workers.serve_forever)
        first, second = workers.pids
        async with client_of_worker(workers, first) as one, client_of_worker(workers, second) as other:
            workers.request_shutdown(60)
            assert workers.state is State.DRAINING
            assert [each.state for each in workers.processes] == [WorkerState.DRAINING] * 2
            assert (await one.pid(), await other.pid()) == (first, second)
            while True:
                try:
                    async with client_of(workers):
                        pass  # it was there before a worker had read the message
                except OSError:
                    break
    report = await workers.shutdown()
    assert report.finished >= 2
    assert report.workers == 2


async def test_shutdown_when_the_grace_period_is_over_then_requests_are_cancelled() -> None:
    """And reported as such."""
    async with talking().running() as workers, client_of(workers) as client:
        assert await client.ask(b"sleep") == b"sleep"
        report = await workers.shutdown(0.05)
        assert (report.cancelled, report.accepted, report.unreported) == (1, 1, 0)
        assert report.duration >= 0.05


async def test_p5_shutdown_when_a_worker_does_not_listen_then_it_is_killed() -> None:
    """A handler that blocks its whole process holds up nobody for ever."""
    async with talking(kill_timeout=0.05).running() as workers, client_of(workers) as client:
        assert await client.ask(b"hang") == b"hang"
        report = await workers.shutdown()
        assert (report.workers, report.unreported) == (1, 1)
        ended = workers.of(WorkerEnded)[0]
        assert (ended.expected, ended.exit_status) == (True, -signal.SIGKILL)


async def test_p5_shutdown_when_a_drain_without_a_bound_is_over_then_the_process_has_one() -> None:
    """A thread that a program has left in a worker holds up nobody for ever; what was served is known."""
    workers = Watched(worker_programs.talk_beside_a_thread, LOOPBACK, workers=1, kill_timeout=0.05)
    async with workers.running():
        async with client_of(workers) as client:
            assert await client.ask(b"hello") == b"hello"
        report = await workers.shutdown(None)
        assert (report.finished, report.unreported) == (1, 0)
        assert workers.of(WorkerEnded)[0].exit_status == -signal.SIGKILL


async def test_p1_serving_when_cancelled_then_ends_with_no_process_left() -> None:
    """The requests are cancelled at once, although one was draining."""
    workers = talking()
    async with trio.open_nursery() as nursery:
        await nursery.start(workers.serve_forever)
        async with client_of(workers) as client:
            assert await client.ask(b"sleep") == b"sleep"
            workers.request_shutdown(None)
            nursery.cancel_scope.cancel()
    assert (workers.state, workers.processes) == (State.STOPPED, ())
    assert (await workers.shutdown()).cancelled == 1


async def test_shutdown_when_its_caller_is_cancelled_then_gives_up_the_grace_period() -> None:
    """As with servers."""
    async with talking().running() as workers, client_of(workers) as client:
        assert await client.ask(b"sleep") == b"sleep"
        with trio.CancelScope() as scope:
            scope.cancel()
            await workers.shutdown(None)
        assert await client.rest() == b""
        assert (await workers.shutdown(None)).cancelled == 1


async def test_block_when_it_raises_then_the_workers_are_gone_and_the_error_is_bare() -> None:
    """No group is made around it."""
    workers = talking()
    with pytest.raises(KeyError, match="mine"):
        async with workers.running():
            raise KeyError("mine")
    assert workers.state is State.STOPPED


async def test_p5_shutdown_when_asked_for_before_serving_then_it_is_not_lost() -> None:
    """No process is even started; and then they can be served."""
    workers = talking()
    workers.request_shutdown()
    async with trio.open_nursery() as nursery:
        assert await nursery.start(workers.serve_forever) == ("127.0.0.1", 0)
    assert (await workers.shutdown()).workers == 0
    async with workers.running():
        assert len(workers.pids) == 1


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 5, 8])
async def test_p1_shutdown_while_starting_then_no_process_is_left(steps: int) -> None:
    """After so many turns of the scheduler: while it binds, launches, or waits."""
    workers = talking(workers=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.serve_forever)
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        workers.request_shutdown(None)
        if steps == 3:
            nursery.cancel_scope.cancel()
    assert workers.state is State.STOPPED
    assert workers.processes == ()


class StopsAfterFirstStep(trio.abc.Instrument):
    """Asks for a shutdown between the first two steps of a task."""

    def __init__(self, workers: trioserver.Workers, name: str) -> None:
        self._workers = workers
        self._name = name

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if task.name == self._name:
            self._name = ""
            self._workers.request_shutdown(60)


@pytest.mark.parametrize("attempt", range(5))
async def test_p5_shutdown_when_a_place_was_just_taken_for_the_next_worker_then_none_is_started(
    attempt: int,
) -> None:
    """Its sockets are closed by then. Which of two tasks comes first is chance: so it is tried some times."""
    workers = talking()
    async with workers.running(), client_of(workers) as client:
        assert await client.ask(b"hello") == b"hello"
        trio.lowlevel.add_instrument(StopsAfterFirstStep(workers, "restarts"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(workers.restart, name="restarts")
        await trio.testing.wait_all_tasks_blocked()
        assert await client.ask(b"still there") == b"still there"
    assert (await workers.shutdown()).workers == 1


async def test_p1_workers_when_the_parent_is_killed_then_they_end(tmp_path: Path) -> None:
    """By themselves: also one whose handler does not let go of it, as soon as its time is over."""
    async with parent(tmp_path, "talk") as (process, line):
        assert process.stdout is not None
        port, *pids = [int(word) for word in line.split()]
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            client = Client(stream)
            assert await client.pid() in pids
            assert await client.ask(b"stubborn") == b"stubborn"
            process.kill()
            await process.wait()
            assert await client.rest() == b""
        # Each of them has a copy of its standard output: its end is the end of the last.
        assert await receive_all(process.stdout) == b""


async def test_p1_workers_when_the_parent_is_killed_while_they_start_then_they_end(tmp_path: Path) -> None:
    """And do not go on for ever to wait for a database, say."""
    async with parent(tmp_path, "wait") as (process, line):
        assert process.stdout is not None
        assert line == b"waits\n"
        process.kill()
        with trio.fail_after(20):
            assert b"cancelled\n" in await receive_all(process.stdout)


async def test_p1_workers_when_the_parent_is_killed_while_they_end_then_they_end_in_time(
    tmp_path: Path,
) -> None:
    """Though there is a thread that the interpreter waits for."""
    async with parent(tmp_path, "talk_beside_a_thread", kill_timeout=1.0) as (process, line):
        assert process.stdout is not None
        port, *pids = [int(word) for word in line.split()]
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            client = Client(stream)
            assert await client.pid() in pids
            await client.ask(b"stop")
            await stream.send_eof()
            assert await client.rest() == b""
        await trio.sleep(0.2)  # its server has ended; the parent would kill it after kill_timeout
        process.kill()
        with trio.fail_after(10):
            assert await receive_all(process.stdout) == b""


@asynccontextmanager
async def parent(
    folder: Path, make_server: str, *, kill_timeout: float = 0.05
) -> AsyncIterator[tuple[trio.Process, bytes]]:
    """A program that serves by workers, and the first line of its output."""
    program = folder / "parent.py"
    program.write_text(PARENT.replace("MAKE_SERVER", make_server).replace("KILL_TIMEOUT", str(kill_timeout)))
    path = os.pathsep.join(entry for entry in sys.path if entry)  # it is not in the folder of its modules
    process = await trio.lowlevel.open_process(
        [sys.executable, program], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    assert process.stdout is not None
    async with process.stdout:
        line = b""
        while not line.endswith(b"\n"):
            chunk = await process.stdout.receive_some(1)
            assert chunk, "the parent has failed"
            line += chunk
        yield process, line
        await process.wait()


PARENT = """
import trio, trioserver, worker_programs

async def main():
    options = {"workers": 2, "grace_period": 0, "kill_timeout": KILL_TIMEOUT}
    workers = trioserver.Workers(worker_programs.MAKE_SERVER, ("127.0.0.1", 0), **options)
    async with workers.running():
        print(workers.server_address[1], *(each.pid for each in workers.processes), flush=True)
        await trio.sleep_forever()

if __name__ == "__main__":
    trio.run(main)
"""


async def test_serving_twice_at_the_same_time_is_an_error() -> None:
    """As with servers."""
    async with talking().running() as workers:
        with pytest.raises(trioserver.AlreadyServing):
            await workers.serve_forever()
        assert len(workers.pids) == 1
