"""P11: the same program and the same seed give the same event log, byte for byte, in any process."""

from __future__ import annotations

import random

import seeded_programs

from trioserver.testing import check_determinism, run


def test_p11_log_when_the_seed_is_the_same_then_is_the_same_whatever_ran_before() -> None:
    """Other runs in between, and random numbers of the process that were used up, change nothing."""
    first = str(run(seeded_programs.talk, seed=1).log)
    random.seed(5)
    other = str(run(seeded_programs.talk, seed=2).log)
    again = str(run(seeded_programs.talk, seed=1).log)
    assert first == again
    assert first != other


def test_p11_log_when_another_process_hashes_otherwise_then_is_the_same() -> None:
    """The second of both runs is in a child process with another PYTHONHASHSEED."""
    result = check_determinism(seeded_programs.talk, seed=1, other_process=True)
    assert "DATA" in str(result.log)
