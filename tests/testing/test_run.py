"""``run``: a program on a network of its own, from a seed, in virtual time; and how it fails."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import seeded_programs
import trio

import trioserver
from trioserver.testing import Network, _deadlock
from trioserver.testing._deadlock import Deadlock
from trioserver.testing._explore import explore
from trioserver.testing._run import log_of, run

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from trio.testing import MockClock


async def answer(network: Network, *args: Any) -> tuple[Any, ...]:
    """Waits for an hour; returns its arguments."""
    await trio.sleep(3600)
    network.log.note("an hour later")
    return args


async def fail(network: Network, text: str = "as it was") -> None:
    """Raises."""
    network.log.note("before it failed")
    raise ValueError(text)


class Observed:
    """Tells one observer what it is told to."""

    tell: trioserver.Observer

    def add_observer(self, observer: trioserver.Observer) -> None:
        """As a server."""
        self.tell = observer


def test_the_result_has_all_there_is_to_know() -> None:
    """Value, log, seed and virtual duration, after an hour that takes no time."""
    start = time.monotonic()
    result = run(answer, 1, "two", seed=7)
    assert (result.value, result.seed, result.duration) == ((1, "two"), 7, 3600)
    assert result.task_order_seeded
    assert str(result.log).split() == ["3600.000000", "an", "hour", "later"]
    assert time.monotonic() - start < 10


def test_the_same_seed_gives_the_same_log() -> None:
    """Every byte of it, and another seed another one."""
    logs = [str(run(seeded_programs.talk, seed=seed).log) for seed in (1, 1, 2)]
    assert logs[0] == logs[1] != logs[2]
    assert "DATA" in logs[0]


def test_without_a_seed_there_is_one_all_the_same() -> None:
    """It is taken at random, and with it the run can be repeated."""
    first, second = run(seeded_programs.talk), run(seeded_programs.talk)
    assert first.seed != second.seed
    assert str(run(seeded_programs.talk, seed=first.seed).log) == str(first.log)


def test_an_error_comes_out_as_it_was() -> None:
    """Bare, with a note that has the seed and how to run it again, and the log up to there."""
    with pytest.raises(ValueError, match="as it was") as caught:
        run(fail, seed=17)
    assert str(caught.value) == "as it was"
    (note,) = caught.value.__notes__
    assert note.startswith("seed 17; replay it with: python -m trioserver.testing replay ")
    assert note.endswith(":fail --seed 17")
    log = log_of(caught.value)
    assert log is not None
    assert [event.text for event in log] == ["before it failed"]


def test_a_function_that_is_not_async_is_refused() -> None:
    """By its name; one that returns what can be awaited will do, and `explore` says the same."""

    def wrong(network: Network) -> None:
        pass

    def right(network: Network) -> Awaitable[tuple[Any, ...]]:
        return answer(network, 1)

    function: Any = wrong
    for start in (run, explore):
        with pytest.raises(trioserver.ConfigError, match=r"wrong is not an async function: it returned None"):
            start(function)
    assert run(right).value == (1,)


async def test_a_server_on_a_host_that_crashed_says_nothing(autojump_clock: MockClock) -> None:
    """Not that it drains, nor when it stops after the restart; the next one does."""
    with Network(1) as network:
        host = network.host("s")
        server = Observed()
        with host:
            network.watch(server)
        server.tell(trioserver.ServerStarted(time=0, server_address=("10.0.0.1", 80)))
        host.crash()
        server.tell(trioserver.ServerDraining(time=0, grace_period=2, active=3))
        host.restart()
        report = trioserver.ShutdownReport(accepted=1, finished=0, failed=1, cancelled=0, rejected=0)
        server.tell(trioserver.ServerStopped(time=0, report=report))
        server.tell(trioserver.ServerStarted(time=0, server_address=("10.0.0.1", 81)))
    texts = [event.text for event in network.log if event.kind == "server"]
    assert texts == ["Observed serves 10.0.0.1:80", "Observed serves 10.0.0.1:81"]


def test_the_note_names_the_module_of_the_function() -> None:
    """A function that can be imported is replayed by its module's name, wherever that is."""
    with pytest.raises(ValueError, match="unlucky") as caught:
        run(seeded_programs.unlucky, seed=5)
    expected = "replay it with: python -m trioserver.testing replay seeded_programs:unlucky --seed 5"
    assert caught.value.__notes__ == [f"seed 5; {expected}"]


def test_the_note_has_the_hash_seed_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of sets of strings may be why it failed."""
    monkeypatch.setenv("PYTHONHASHSEED", "33")
    with pytest.raises(ValueError, match="unlucky") as caught:
        run(seeded_programs.unlucky, seed=5)
    assert "with: PYTHONHASHSEED=33 python -m" in caught.value.__notes__[0]


def test_what_no_command_can_run_has_a_call_in_its_note() -> None:
    """A local function, or one with more arguments."""

    async def local(network: Network) -> None:
        raise OSError

    with pytest.raises(OSError) as caught:  # noqa: PT011
        run(local, seed=3)
    assert caught.value.__notes__[0].endswith("<locals>.local, seed=3)")
    with pytest.raises(ValueError, match="other") as other:
        run(fail, "other", seed=3)
    assert other.value.__notes__[0].endswith("trioserver.testing.run(fail, ..., seed=3)")


def test_ctrl_c_comes_out_bare() -> None:
    """As every other ``BaseException``."""

    async def interrupted(network: Network) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupted, seed=1)


def test_a_group_of_the_program_stays_one() -> None:
    """``run`` adds no layer, and takes none away."""

    async def grouped(network: Network) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, network, "one")

    with pytest.raises(ExceptionGroup) as caught:
        run(grouped, seed=1)
    assert [str(error) for error in caught.value.exceptions] == ["one"]


def test_an_error_that_no_run_raised_has_no_log() -> None:
    """There is nothing to look at."""
    assert log_of(ValueError()) is None


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True])
def test_a_seed_is_a_whole_number(seed: Any) -> None:
    """-1 would be the same as 1 to ``random``, and True too."""
    with pytest.raises(trioserver.ConfigError, match="seed must be a whole number"):
        run(answer, seed=seed)


def test_what_can_not_be_called_is_refused() -> None:
    """With the name of the argument."""
    not_a_function: Any = seeded_programs.not_async
    with pytest.raises(trioserver.ConfigError, match="async_fn must be an async function"):
        run(not_a_function, seed=1)


def test_instruments_are_passed_on() -> None:
    """They see the tasks of the run."""

    class Names(trio.abc.Instrument):
        def __init__(self) -> None:
            self.names: list[str] = []

        def task_spawned(self, task: trio.lowlevel.Task) -> None:
            self.names.append(task.name)

    instrument = Names()
    run(seeded_programs.talk, seed=1, instruments=[instrument])
    assert any("serve_listeners" in name for name in instrument.names)


async def waits_for_ever(network: Network) -> None:
    """Two tasks that wait for each other."""
    event = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(event.wait)
        await event.wait()


def test_a_deadlock_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that waits for what can not come does not hang; the error says where its tasks wait."""
    monkeypatch.setattr(_deadlock, "PATIENCE", 0.01)
    with pytest.raises(Deadlock, match="every task waits, and no deadline is set") as caught:
        run(waits_for_ever, seed=1)
    lines = str(caught.value).splitlines()[1:]
    assert "test_run.py:" in lines[0]
    assert "in waits_for_ever" in lines[0]
    assert lines[1].startswith("    trio.Event.wait")


def test_a_deadlock_in_a_shielded_scope_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the end of a server, or a clean-up, waits for what can never come; twice over."""
    monkeypatch.setattr(_deadlock, "PATIENCE", 0.02)

    async def wait(network: Network) -> None:
        try:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()

    with pytest.raises(Deadlock, match=r"test_run\.py:\d+ in wait"):
        run(wait, seed=1)


def test_what_a_deadlock_breaks_on_its_way_out_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error of a clean-up is the cause of the Deadlock."""
    monkeypatch.setattr(_deadlock, "PATIENCE", 0.01)

    async def cleans_up(network: Network) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the clean-up")

    with pytest.raises(Deadlock) as caught:
        run(cleans_up, seed=1)
    assert isinstance(caught.value.__cause__, ValueError)


async def sends_and_reads_nothing(network: Network) -> None:
    """Both ends of a connection wait for the other one to read."""
    async with trio.open_nursery() as nursery:
        with network.host("server"):
            listeners = await trio.open_tcp_listeners(80)
        with network.host("client"):
            client = await trio.open_tcp_stream("server", 80)
        server = await listeners[0].accept()
        nursery.start_soon(client.send_all, bytes(1_000_000))
        await server.send_all(bytes(1_000_000))


def test_a_deadlock_of_two_senders_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though time goes on: TCP asks every two minutes whether there is room."""
    monkeypatch.setattr(_deadlock, "PATIENCE", 0.01)
    with pytest.raises(Deadlock, match="in sends_and_reads_nothing"):
        run(sends_and_reads_nothing, seed=1)


def test_a_task_that_waits_for_weeks_is_no_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when nothing but questions of TCP happens meanwhile."""
    monkeypatch.setattr(_deadlock, "PATIENCE", 0.0)
    monkeypatch.setattr(_deadlock, "LOOPS", 1)

    async def waits(network: Network) -> None:
        with trio.move_on_after(86400 * 14):
            await sends_and_reads_nothing(network)

    assert run(waits, seed=1).duration == pytest.approx(86400 * 14, rel=0.01)


@pytest.mark.parametrize("own_limiter", [False, True])
def test_a_thread_that_takes_its_time_is_no_deadlock(
    monkeypatch: pytest.MonkeyPatch, own_limiter: bool
) -> None:
    """While one works for the program something may still happen."""
    monkeypatch.setattr(_deadlock, "PATIENCE", 0.0)
    monkeypatch.setattr(_deadlock, "LOOPS", 1)

    async def works(network: Network) -> str:
        # Far more turns of the loop than a deadlock would need to be found.
        limiter = trio.CapacityLimiter(1) if own_limiter else None
        return await trio.to_thread.run_sync(_work, threading.Event(), limiter=limiter)

    assert run(works, seed=1).value == "done"


def _work(event: threading.Event) -> str:
    event.wait(0.05)
    return "done"


def test_what_happens_in_between_is_no_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time counts from the last step of a task, however long all of it takes."""
    watched = threading.Event()
    now = 0.0

    def clock() -> float:
        watched.set()  # from now on each step is watched
        return now

    monkeypatch.setattr(_deadlock, "LOOPS", 7)  # most of what happens is not seen by looking
    monkeypatch.setattr(_deadlock, "perf_counter", clock)

    async def woken(network: Network) -> str:
        nonlocal now
        token = trio.lowlevel.current_trio_token()
        for _ in range(20):
            event = trio.Event()
            watched.clear()
            thread = threading.Thread(target=_wake, args=(watched, token, event))
            thread.start()
            await event.wait()
            now += 10 * _deadlock.PATIENCE
            thread.join()
        return "woken"

    assert run(woken, seed=1).value == "woken"


def _wake(watched: threading.Event, token: trio.lowlevel.TrioToken, event: trio.Event) -> None:
    watched.wait(10)
    token.run_sync_soon(event.set)


def test_a_wake_up_in_time_is_no_deadlock(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of the program's own, which trio does not know, may still wake a task."""
    monkeypatch.setattr(_deadlock, "LOOPS", 1)

    async def woken(network: Network) -> str:
        event = trio.Event()
        token = trio.lowlevel.current_trio_token()
        thread = threading.Thread(target=lambda: token.run_sync_soon(event.set))
        thread.start()
        await event.wait()
        thread.join()
        return "woken"

    assert run(woken, seed=1).value == "woken"
