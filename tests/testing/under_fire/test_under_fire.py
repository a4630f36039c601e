"""The promises under fire, with as many seeds as there is time for here; see docs/under-fire.md."""

from __future__ import annotations

import pytest

from trioserver.testing import check_determinism, explore

from .planted import FAULTS
from .planting import Planted, look_for
from .scenario import main

SEEDS = range(40)


def test_no_promise_is_broken_whatever_the_seed() -> None:
    """A few dozen servers under fire keep P1 to P7."""
    assert explore(main, SEEDS, processes=1) == len(SEEDS)


@pytest.mark.parametrize("seed", [3, 6])
def test_the_same_seed_is_the_same_run(seed: int) -> None:
    """What a seed found can be looked at again."""
    check_determinism(main, seed=seed, other_process=False)


@pytest.mark.parametrize("number", [4, 13, 22])
def test_a_planted_fault_is_found(number: int) -> None:
    """What looks for broken promises finds one that is broken, and says which."""
    fault: Planted = FAULTS[number - 1]
    found = look_for(fault, SEEDS)
    assert found.seeds is not None
    assert found.how.startswith(fault.promise)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.function)
def test_every_fault_can_be_planted(fault: Planted) -> None:
    """What it replaces is still there, in each of the functions."""
    assert look_for(fault, ()).seeds is None
