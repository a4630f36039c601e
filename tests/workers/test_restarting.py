"""A rolling restart: every worker is another one, and no client has noticed."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
import worker_programs
from harness import wait_until

import trioserver
from trioserver import WorkerEnded, WorkerStarted

from .kit import LOOPBACK, Watched, client_of, talking

if TYPE_CHECKING:
    from pathlib import Path


async def visit(workers: trioserver.Workers, seen: set[int], *, until: trio.Event) -> int:
    """Connect, talk, and go, again and again; how often."""
    count = 0
    while not until.is_set():
        async with client_of(workers) as client:
            seen.add(await client.pid())
            assert await client.ask(b"x" * 2000) == b"x" * 2000
        count += 1
    return count


@pytest.mark.parametrize("count", [1, 2])
async def test_restart_when_clients_come_without_pause_then_none_is_refused_or_cut_short(count: int) -> None:
    """One error of any of them, and the nursery fails; and the counts add up over all the workers."""
    workers = talking(workers=count)
    done = trio.Event()
    seen: set[int] = set()
    visits = 0

    async def visitor() -> None:
        nonlocal visits
        count = await visit(workers, seen, until=done)
        visits += count

    async with workers.running():
        first = set(workers.pids)
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(visitor)
            for _ in range(2):
                await workers.restart()
            done.set()
        last = set(workers.pids)
        assert len(last) == count
        assert not last & first
        report = await workers.shutdown(5)
    assert report.accepted == report.finished == visits > 0
    assert (report.workers, report.unreported) == (3 * count, 0)
    assert len(seen) > 1


async def test_restart_when_a_request_runs_then_it_is_served_to_its_end_by_the_old_worker() -> None:
    """And `restart` returns when that has ended."""
    workers = talking()
    async with workers.running(), client_of(workers) as client, trio.open_nursery() as nursery:
        (pid,) = workers.pids
        assert await client.pid() == pid
        nursery.start_soon(workers.restart)
        await workers.wait_for(WorkerStarted, 2)
        assert await client.pid() == pid
        assert not workers.of(WorkerEnded)
        await client.stream.aclose()
        assert (await workers.wait_for(WorkerEnded, 1)).report.finished == 1


@pytest.mark.parametrize("program", [worker_programs.greet, worker_programs.greet_in_place])
async def test_restart_when_a_client_has_just_connected_then_its_first_request_is_answered(
    program: Any,
) -> None:
    """Which has not arrived yet; one that has asked before finds its connection closed."""
    workers = Watched(program, LOOPBACK, workers=1)
    async with workers.running(), client_of(workers) as client, client_of(workers) as other:
        pid = await client.stream.receive_some()
        assert await other.stream.receive_some() == pid
        assert await other.ask(b"before") == b"before"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(workers.restart)
            await workers.wait_for(WorkerStarted, 2)
            assert await other.rest() == b""
            with trio.move_on_after(0.05) as moment:
                await client.stream.receive_some()
            assert moment.cancelled_caught
            assert await client.ask(b"hello") == b"hello"
            await client.stream.aclose()
        assert workers.of(WorkerEnded)[0].report.finished == 2


@pytest.mark.parametrize("program", [worker_programs.greet, worker_programs.greet_in_place])
async def test_shutdown_when_a_restarted_worker_still_waits_for_a_first_request_then_waits_no_longer(
    program: Any,
) -> None:
    """A connection that has begun nothing holds up no shutdown."""
    workers = Watched(program, LOOPBACK, workers=1, grace_period=None)
    async with workers.running(), client_of(workers) as client, trio.open_nursery() as nursery:
        await client.stream.receive_some()
        nursery.start_soon(workers.restart)
        await workers.wait_for(WorkerStarted, 2)
        with trio.fail_after(4):
            report = await workers.shutdown(None)
        assert report.finished == 1


async def test_restart_when_a_request_runs_too_long_then_it_is_cancelled() -> None:
    """After the ``grace_period`` of the workers."""
    workers = talking(grace_period=0)
    async with workers.running(), client_of(workers) as client:
        assert await client.ask(b"sleep") == b"sleep"
        await workers.restart()
        assert await client.rest() == b""
        assert workers.of(WorkerEnded)[0].report.cancelled == 1


async def test_restart_when_a_new_worker_can_not_start_then_the_old_ones_go_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The error says why; a later restart may do better."""
    path = tmp_path / "broken"
    workers = Watched(functools.partial(worker_programs.talk_unless, str(path)), LOOPBACK, workers=1)
    async with workers.running(), client_of(workers) as client:
        before = workers.pids
        path.touch()
        with pytest.raises(trioserver.WorkerError, match=r"RuntimeError .* there is /") as caught:
            await workers.restart()
        assert caught.value.exit_status == 1
        assert workers.pids == before
        assert await client.ask(b"pid") == b"%d" % before[0]
        path.unlink()
        await client.stream.aclose()
        await workers.restart()
        assert workers.pids != before
    assert "RuntimeError: there is" in capfd.readouterr().err


async def test_restart_when_the_new_worker_can_not_serve_then_it_is_none_of_those_that_did(
    tmp_path: Path,
) -> None:
    """It was told to, and failed at that."""
    path = tmp_path / "elsewhere"
    workers = Watched(
        functools.partial(worker_programs.talk_unless_elsewhere, str(path)), LOOPBACK, workers=1
    )
    async with workers.running():
        path.touch()
        with pytest.raises(trioserver.WorkerError, match="sockets that it was given"):
            await workers.restart()
        report = await workers.shutdown()
    assert len(workers.of(WorkerEnded)) == 2
    assert (report.workers, report.unreported) == (1, 0)


async def test_restart_when_asked_for_twice_at_the_same_time_then_both_return() -> None:
    """When the old one has ended; and nobody is replaced who was started since."""
    workers = talking()

    async def restart() -> None:
        await workers.restart()
        assert len(workers.of(WorkerEnded)) == 1

    async with workers.running():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(restart)
            nursery.start_soon(restart)


async def test_restart_when_a_shutdown_comes_then_it_returns() -> None:
    """And leaves no process behind, which each test here looks for."""
    workers = talking()
    async with trio.open_nursery() as nursery:
        await nursery.start(workers.serve_forever)
        nursery.start_soon(workers.restart)
        await trio.testing.wait_all_tasks_blocked()
        assert len(workers.processes) <= 2
        report = await workers.shutdown()
    assert report.unreported == 0


async def test_restart_when_its_caller_is_cancelled_then_the_old_workers_go_on() -> None:
    """And the new one, that had not served yet, is gone."""
    async with talking().running() as workers, client_of(workers) as client:
        pid = await client.pid()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(workers.restart)
            await wait_until(lambda: len(workers.processes) == 2)
            nursery.cancel_scope.cancel()
        assert workers.pids == [pid]
        ended = await workers.wait_for(WorkerEnded, 1)
        assert (ended.expected, ended.report) == (True, trioserver.ShutdownReport())
        assert await client.pid() == pid


async def test_restart_when_nothing_is_served_then_is_an_error() -> None:
    """Before, and after."""
    workers = talking()
    with pytest.raises(trioserver.LifecycleError, match="restart"):
        await workers.restart()
    workers.request_shutdown()
    await workers.serve_forever()
    with pytest.raises(trioserver.LifecycleError, match="restart"):
        await workers.restart()


async def test_restart_when_the_first_workers_still_start_then_it_waits_until_they_serve() -> None:
    """And replaces them: they may have loaded what was there before the call."""
    workers = talking(workers=2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.serve_forever)
        await wait_until(lambda: bool(workers.processes))
        assert not workers.of(WorkerStarted)
        await workers.restart()
        assert [each.replaces for each in workers.processes] == [1, 1]
        report = await workers.shutdown()
    assert (report.workers, report.unreported) == (4, 0)


async def test_restart_when_a_shutdown_comes_while_the_first_workers_start_then_it_returns() -> None:
    """There is nothing to be replaced any more."""
    workers = talking()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.serve_forever)
        await wait_until(lambda: bool(workers.processes))
        nursery.start_soon(workers.restart)
        await trio.testing.wait_all_tasks_blocked()  # it waits for the workers, which take longer
        await workers.shutdown()
    assert not workers.of(WorkerStarted)
