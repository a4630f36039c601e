"""What a seed reaches: the order of tasks, random numbers, what the system draws; all of it comes back."""

from __future__ import annotations

import os
import random
import secrets
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

import trioserver
from trioserver.testing import _run, _seeding
from trioserver.testing._run import run
from trioserver.testing._seeding import seeded, seeds_task_order

if TYPE_CHECKING:
    from trioserver.testing import Network


async def order_of_tasks(count: int = 8) -> list[int]:
    """The order in which trio runs tasks that are ready at the same time."""
    order: list[int] = []

    async def task(number: int) -> None:
        for _ in range(3):
            order.append(number)
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(task, number)
    return order


def seeded_order(seed: int) -> list[int]:
    """The same, with a seed."""
    with seeded(seed):
        return trio.run(order_of_tasks)


def draw() -> list[object]:
    """Something from each source of randomness."""
    drawn: list[object] = [
        random.random(),
        random.Random().random(),
        random.SystemRandom().random(),
        secrets.token_hex(8),
        os.urandom(8),
        uuid.uuid4(),
    ]
    random.seed()
    return [*drawn, random.random()]


def test_this_version_of_trio_can_be_seeded() -> None:
    """The private names of trio that the seed of the task order needs are there."""
    assert seeds_task_order


def test_the_order_of_tasks_comes_from_the_seed() -> None:
    """The same seed gives the same order, other seeds give others."""
    orders = [seeded_order(seed) for seed in range(10)]
    assert orders == [seeded_order(seed) for seed in range(10)]
    assert len({tuple(order) for order in orders}) == 10


async def order_after_an_event(kept: list[object], count: int = 40) -> list[int]:
    """The order in which trio wakes tasks that wait for one event: it has them in a set."""
    order: list[int] = []
    event = trio.Event()

    async def task(number: int) -> None:
        kept.append(trio.lowlevel.current_task())
        await event.wait()
        order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(count):
            nursery.start_soon(task, number)
        await trio.testing.wait_all_tasks_blocked()
        event.set()
    return order


def test_the_order_of_tasks_does_not_depend_on_where_they_are_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Trio's sets of tasks are in the order of addresses, but tasks are sorted before they are shuffled."""
    monkeypatch.setattr(_seeding._scheduler, _seeding.FLAG, False)  # Hypothesis, once imported, sets it
    orders: list[list[int]] = []
    kept: list[object] = []  # so that no task is where one of an earlier run was
    for _ in range(5):
        with seeded(1):
            orders.append(trio.run(order_after_an_event, kept))
    assert orders[1:] == orders[:-1]
    assert getattr(_seeding._scheduler, _seeding.FLAG) is False


def test_all_randomness_comes_from_the_seed() -> None:
    """Every source repeats itself with the same seed, and none does with another."""
    with seeded(1):
        first = draw()
    with seeded(1):
        again = draw()
    with seeded(2):
        other = draw()
    assert first == again
    assert not any(one == two for one, two in zip(first, other, strict=True))


def test_what_was_there_comes_back() -> None:
    """After the block, also one that raises, randomness is random, and ``random`` goes on where it was."""
    random.seed(5)
    expected = [random.random(), random.random()]
    random.seed(5)
    found = [random.random()]
    before = (os.urandom, random.seed, random.Random.seed, _seeding._scheduler._r.getstate())
    with pytest.raises(ValueError, match="of the block"), seeded(1):
        assert os.urandom is not before[0]
        draw()
        assert random.random() not in expected
        raise ValueError("of the block")
    assert before == (os.urandom, random.seed, random.Random.seed, _seeding._scheduler._r.getstate())
    assert [*found, random.random()] == expected
    assert len({secrets.token_hex(8), secrets.token_hex(8), os.urandom(8), random.Random().random()}) == 4


def test_one_seeded_block_at_a_time() -> None:
    """A second block in the same process is refused, and the first one goes on."""
    with seeded(1):
        with pytest.raises(trioserver.LifecycleError, match="one seeded run at a time"), seeded(2):
            pass
        first = draw()
    with seeded(1):
        assert first == draw()


def test_a_negative_number_of_random_bytes_is_refused() -> None:
    """As by the real ``os.urandom``."""
    with seeded(1), pytest.raises(ValueError, match="negative"):
        os.urandom(-1)


async def _draw(network: Network) -> list[object]:
    return [network.random.random(), *draw()]


def test_without_the_private_names_all_but_the_task_order_is_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a version of trio that is not known the rest still works, and the result says so."""
    monkeypatch.setattr(_seeding, "_scheduler", None)
    monkeypatch.setattr(_run, "seeds_task_order", False)
    first, second = run(_draw, seed=4), run(_draw, seed=4)
    assert first.value == second.value
    assert not first.task_order_seeded
    with pytest.raises(ZeroDivisionError) as caught:
        run(_divide, seed=1)
    assert "the order of tasks is not seeded with this version of trio" in caught.value.__notes__[0]


async def _divide(network: Network) -> float:
    return 1 / 0


@pytest.mark.parametrize("missing", ["_r", "_ALLOW_DETERMINISTIC_SCHEDULING", "unrolled_run"])
def test_a_trio_that_has_changed_is_noticed(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one of the private names is gone, none of them is touched."""
    monkeypatch.delattr(_seeding._scheduler, missing)
    assert _seeding._find_scheduler() is None


def test_only_one_file_knows_the_private_names() -> None:
    """What a new version of trio may break is in one place."""
    folder = Path(_seeding.__file__).parent
    users = [
        path.name for path in sorted(folder.glob("*.py")) if "trio._" in path.read_text(encoding="utf-8")
    ]
    assert users == ["_seeding.py"]
