"""One task for all timeouts: exact, and no larger than what it watches."""

from __future__ import annotations

import trio
import trio.testing

from trioserver._transports.deadlines import DeadlineWatch

NEVER = float("inf")


class Sleeper:
    """Something that waits until a deadline."""

    def __init__(self, watch: DeadlineWatch) -> None:
        self._watch = watch
        self.deadline = NEVER
        self.watched_until = NEVER
        self.interrupted: list[float] = []

    def wait_until(self, deadline: float) -> None:
        """Begin to wait, as a stream does."""
        self.deadline = deadline
        if deadline < self.watched_until:
            self._watch.add(self, deadline)

    def interrupt(self) -> None:
        """Note when."""
        self.interrupted.append(trio.current_time())
        self.deadline = NEVER


async def test_watch_when_deadlines_come_then_each_is_interrupted_exactly_then(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """In whatever order they were added, all are interrupted at their own time."""
    async with trio.open_nursery() as nursery:
        watch = DeadlineWatch(nursery.start_soon)
        sleepers = [Sleeper(watch) for _ in range(5)]
        for sleeper, deadline in zip(sleepers, [3, 1, 2, 1, 0.25], strict=True):
            sleeper.wait_until(deadline)
            await trio.testing.wait_all_tasks_blocked()
        await trio.sleep(10)
        assert [sleeper.interrupted for sleeper in sleepers] == [[3], [1], [2], [1], [0.25]]
        nursery.cancel_scope.cancel()


async def test_watch_when_a_deadline_moves_then_only_the_last_counts(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A deadline that was put off, brought forward or given up is interrupted when it is due, if at all."""
    async with trio.open_nursery() as nursery:
        watch = DeadlineWatch(nursery.start_soon)
        later, earlier, never, again = (Sleeper(watch) for _ in range(4))
        for sleeper in (later, earlier, never, again):
            sleeper.wait_until(5)
        later.wait_until(8)
        earlier.wait_until(2)
        never.wait_until(NEVER)
        await trio.sleep(4)
        again.wait_until(9)
        await trio.sleep(20)
        again.wait_until(30)
        await trio.sleep(20)
        assert later.interrupted == [8]
        assert earlier.interrupted == [2]
        assert never.interrupted == []
        assert again.interrupted == [9, 30]
        nursery.cancel_scope.cancel()


async def test_p9_watch_when_short_connections_come_and_go_then_it_does_not_grow(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Connections that ended are forgotten long before their timeout."""
    async with trio.open_nursery() as nursery:
        watch = DeadlineWatch(nursery.start_soon)
        alive = [Sleeper(watch) for _ in range(10)]
        for sleeper in alive:
            sleeper.wait_until(3600)
        for _ in range(5000):
            sleeper = Sleeper(watch)
            sleeper.wait_until(1000)
            watch.discard(sleeper)
            assert len(watch._heap) < 200
        await trio.sleep(4000)
        assert [sleeper.interrupted for sleeper in alive] == [[3600]] * 10
        nursery.cancel_scope.cancel()


async def test_p9_watch_when_long_and_short_waits_alternate_then_it_does_not_grow(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A stream whose waits are now long, now short does not pile up entries either."""
    async with trio.open_nursery() as nursery:
        watch = DeadlineWatch(nursery.start_soon)
        sleeper = Sleeper(watch)
        for _ in range(500):
            sleeper.wait_until(trio.current_time() + 100_000)
            sleeper.wait_until(trio.current_time() + 1)
            await trio.sleep(1.5)
        assert len(sleeper.interrupted) == 500
        assert len(watch._heap) < 200
        nursery.cancel_scope.cancel()


async def test_watch_when_stopped_then_it_can_be_used_in_another_run(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A server may serve again; what was watched before is forgotten."""
    watch = DeadlineWatch(lambda function: nursery.start_soon(function))
    old, new = Sleeper(watch), Sleeper(watch)
    async with trio.open_nursery() as nursery:
        old.wait_until(5)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    watch.stop()
    assert old.watched_until == NEVER
    async with trio.open_nursery() as nursery:
        new.wait_until(7)
        await trio.sleep(10)
        assert (old.interrupted, new.interrupted) == ([], [7])
        nursery.cancel_scope.cancel()
