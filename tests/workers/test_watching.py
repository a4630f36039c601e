"""A worker that ends by itself is replaced, without a loss to anybody but its own clients."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
import worker_programs
from harness import wait_until

from trioserver import WorkerDelayed, WorkerEnded, WorkerStarted, WorkerState
from trioserver._workers.sockets import Binding, open_sockets

from .kit import LOOPBACK, Watched, client_of, client_of_worker, talking

if TYPE_CHECKING:
    from pathlib import Path


async def test_worker_when_killed_then_who_connects_meanwhile_is_served_by_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The socket outlives it, and so do the connections that it had not accepted; its own end."""
    workers = talking()
    async with workers.running(grace_period=5):
        (pid,) = workers.pids
        async with client_of(workers) as its_own:
            assert await its_own.pid() == pid
            os.kill(pid, signal.SIGKILL)
            assert await its_own.rest() == b""
            async with client_of(workers) as client:
                next_pid = await client.pid()
        assert (await workers.wait_for(WorkerStarted, 2)).pid == next_pid != pid
        ended = await workers.wait_for(WorkerEnded, 1)
        assert (ended.pid, ended.expected, ended.exit_status, ended.report) == (
            pid,
            False,
            -signal.SIGKILL,
            None,
        )
        assert workers.processes[0].replaces == 1
        report = await workers.shutdown(5)
    assert (report.workers, report.unreported, report.accepted) == (2, 1, 1)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert f"Worker {pid} ended without being told to: its process was killed by SIGKILL" in caplog.text


async def test_p1_worker_when_it_crashes_then_the_processes_that_it_has_forked_end_too() -> None:
    """They serve its connections, and nobody else knows of them."""
    async with talking().running() as workers, client_of(workers) as client:
        assert await client.ask(b"leave behind") == b"leave behind"
        await client.stream.send_all(b"crash\n")
        with trio.fail_after(10):
            assert await client.rest() == b""
        assert (await workers.wait_for(WorkerEnded, 1)).exit_status == 7


async def test_worker_when_another_is_killed_then_it_serves_on() -> None:
    """Its clients notice nothing."""
    async with talking(workers=2).running() as workers:
        victim, other = workers.pids
        async with client_of_worker(workers, other) as client:
            os.kill(victim, signal.SIGKILL)
            await workers.wait_for(WorkerStarted, 3)
            assert await client.pid() == other


async def test_worker_when_it_ends_again_and_again_then_the_next_ones_wait_longer_and_longer() -> None:
    """At once, then after 0.1 s, then 0.2 s; each crash is told, with its status."""
    workers = talking()
    async with workers.running():
        for count in (2, 3, 4):
            async with client_of(workers) as client:
                await client.stream.send_all(b"crash\n")
                assert await client.rest() == b""
            await workers.wait_for(WorkerStarted, count)
        assert [event.delay for event in workers.of(WorkerDelayed)] == [0.1, 0.2]
        assert [event.exit_status for event in workers.of(WorkerEnded)] == [7, 7, 7]


async def test_worker_when_the_next_can_not_start_then_it_is_tried_again_and_a_restart_tries_at_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is wrong is logged in a line, and printed by the worker; others serve on."""
    path = tmp_path / "broken"
    make_server = functools.partial(worker_programs.talk_unless, str(path))
    workers = Watched(make_server, LOOPBACK, workers=2)
    async with workers.running():
        victim, other = workers.pids
        path.touch()
        async with client_of_worker(workers, other) as client:
            os.kill(victim, signal.SIGKILL)
            assert (await workers.wait_for(WorkerDelayed, 2)).delay == 0.2
            assert await client.pid() == other
        path.unlink()
        await workers.restart()
        assert len(workers.pids) == 2
        assert not {victim, other} & set(workers.pids)
        report = await workers.shutdown()
    assert len(workers.of(WorkerEnded)) > 4
    assert (report.workers, report.unreported) == (4, 1)  # those that never served are no part of it
    assert "a worker could not start: RuntimeError at" in caplog.text
    assert f"there is {path}" in caplog.text
    assert "Traceback" in capfd.readouterr().err


async def test_worker_when_there_is_no_thread_to_launch_the_next_one_then_it_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """At the limit of processes, of which threads are a part, the others serve on."""
    open_process, failures = trio.lowlevel.open_process, iter(range(2))

    async def open_process_at_the_limit(*args: Any, **options: Any) -> trio.Process:
        if next(failures, None) is not None:
            raise RuntimeError("can't start new thread")
        return await open_process(*args, **options)

    workers = talking(workers=2)
    async with workers.running():
        victim, other = workers.pids
        monkeypatch.setattr(trio.lowlevel, "open_process", open_process_at_the_limit)
        os.kill(victim, signal.SIGKILL)
        await workers.wait_for(WorkerStarted, 3)
        assert other in workers.pids
        assert len(workers.pids) == 2
    assert caplog.text.count("no process could be started: can't start new thread") == 2


async def test_worker_when_a_restart_was_faster_than_the_next_try_then_it_is_watched_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The restart waits for a worker that can not start, and does better; nobody sleeps on in its place."""
    monkeypatch.setattr("trioserver._workers.backoff.FIRST_DELAY", 10.0)
    path = tmp_path / "broken"
    workers = Watched(functools.partial(worker_programs.talk_but_once, str(path)), LOOPBACK, workers=1)
    async with workers.running():
        path.touch()
        os.kill(workers.pids[0], signal.SIGKILL)
        await workers.wait_for(WorkerEnded, 1)
        await wait_until(lambda: [each.state for each in workers.processes] == [WorkerState.STARTING])
        await workers.restart()
        os.kill(workers.pids[0], signal.SIGKILL)
        with trio.fail_after(5):
            await workers.wait_for(WorkerDelayed, 2)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all share one socket")
async def test_worker_when_the_next_has_to_wait_for_long_then_clients_go_to_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel shares them out among those who serve; and afterwards among all again."""
    monkeypatch.setattr("trioserver._workers.backoff.FIRST_DELAY", 10.0)
    path = tmp_path / "broken"
    make_server = functools.partial(worker_programs.talk_unless, str(path))
    workers = Watched(make_server, LOOPBACK, workers=2)
    async with workers.running():
        victim, other = workers.pids
        path.touch()
        os.kill(victim, signal.SIGKILL)
        await workers.wait_for(WorkerDelayed, 1)
        for _ in range(20):
            async with client_of(workers) as client:
                assert await client.pid() == other
        path.unlink()
        await workers.restart()
        for pid in workers.pids:
            async with client_of_worker(workers, pid):
                pass


async def test_p7_worker_when_it_was_gone_for_long_then_the_next_one_can_wait_for_datagrams() -> None:
    """A datagram socket that is shut down is one that never has to be waited for: its server would spin."""
    binding = Binding(
        address=LOOPBACK,
        sock=None,
        kind=socket.SOCK_DGRAM,
        all_addresses=False,
        mode=None,
        backlog=1,
        one_each=sys.platform == "linux",
    )
    with contextlib.closing(await open_sockets(binding, 2)) as sockets:
        sockets.withdraw(0)
        assert select.select(sockets.groups[0], [], [], 0) == ([], [], [])


async def test_worker_when_told_to_terminate_then_it_serves_until_the_next_one_does() -> None:
    """SIGTERM to one of them: no client is refused, and the one it has is served to the end."""
    workers = talking()
    async with workers.running():
        (pid,) = workers.pids
        async with client_of(workers) as client:
            assert await client.pid() == pid
            os.kill(pid, signal.SIGTERM)
            await workers.wait_for(WorkerStarted, 2)
            assert [each.state for each in workers.processes] == [WorkerState.DRAINING, WorkerState.SERVING]
            assert await client.pid() == pid
            async with client_of(workers) as other:
                assert await other.pid() == workers.pids[0] != pid
        ended = await workers.wait_for(WorkerEnded, 1)
        assert (ended.pid, ended.expected, ended.exit_status, ended.report.finished) == (pid, True, 0, 1)


@pytest.mark.parametrize(("what", "status"), [(b"exit", 3), (b"stop", 0)])
async def test_worker_when_a_handler_stops_its_server_then_another_takes_its_place(
    what: bytes, status: int
) -> None:
    """By ``sys.exit()``, or in order; the workers are not stopped by it."""
    workers = talking()
    async with workers.running():
        (pid,) = workers.pids
        async with client_of(workers) as client:
            await client.stream.send_all(what + b"\n")
            await workers.wait_for(WorkerStarted, 2)
        ended = await workers.wait_for(WorkerEnded, 1)
        assert (ended.pid, ended.exit_status) == (pid, status)
        assert ended.report.accepted == 1


async def test_worker_when_interrupted_then_it_does_not_mind() -> None:
    """Ctrl-C is the parent's."""
    async with talking().running() as workers:
        (pid,) = workers.pids
        async with client_of(workers) as client:
            assert await client.pid() == pid
            os.kill(pid, signal.SIGINT)
            assert await client.pid() == pid
