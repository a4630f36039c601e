"""The table of a server's life, the checks of options, and the tree of errors."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import trioserver
from trioserver._vocabulary.lifecycle import RUNNING, Act, State, after
from trioserver._vocabulary.options import check_count, check_seconds
from trioserver._vocabulary.reports import Counts, Outcome

LEGAL = {
    (State.NEW, Act.SERVE): State.SERVING,
    (State.NEW, Act.SHUT_DOWN): State.FORESTALLED,
    (State.NEW, Act.CLOSE): State.CLOSED,
    (State.FORESTALLED, Act.SERVE): State.DRAINING,
    (State.FORESTALLED, Act.SHUT_DOWN): State.FORESTALLED,
    (State.FORESTALLED, Act.CLOSE): State.CLOSED,
    (State.SERVING, Act.SHUT_DOWN): State.DRAINING,
    (State.SERVING, Act.END): State.STOPPED,
    (State.DRAINING, Act.SHUT_DOWN): State.DRAINING,
    (State.DRAINING, Act.END): State.STOPPED,
    (State.STOPPED, Act.SERVE): State.SERVING,
    (State.STOPPED, Act.SHUT_DOWN): State.STOPPED,
    (State.STOPPED, Act.CLOSE): State.CLOSED,
    (State.CLOSED, Act.SHUT_DOWN): State.CLOSED,
    (State.CLOSED, Act.CLOSE): State.CLOSED,
}


@pytest.mark.parametrize(("state", "act"), LEGAL)
def test_lifecycle_when_an_act_is_legal_then_the_next_state_follows(state: State, act: Act) -> None:
    """Each legal pair leads where the table says."""
    assert after(state, act) is LEGAL[state, act]


@pytest.mark.parametrize(
    ("state", "act"), [pair for pair in itertools.product(State, Act) if pair not in LEGAL]
)
def test_lifecycle_when_an_act_is_illegal_then_it_raises(state: State, act: Act) -> None:
    """Each other pair raises: what a user can do wrong by its own class, the rest as our bug."""
    expected: type[Exception] = AssertionError
    if act is Act.SERVE:
        expected = trioserver.AlreadyServing if state in RUNNING else trioserver.ServerClosed
    with pytest.raises(expected):
        after(state, act)


def test_p5_lifecycle_when_a_shutdown_was_asked_for_before_serving_then_it_is_kept() -> None:
    """Never lost: the next serve goes straight to draining."""
    assert after(after(State.NEW, Act.SHUT_DOWN), Act.SERVE) is State.DRAINING


@pytest.mark.parametrize("right", [0, 0.5, 10, float("inf")])
def test_seconds_when_they_can_be_waited_for_then_they_pass(right: float) -> None:
    """Zero and infinity are numbers of seconds."""
    check_seconds("x", right)
    check_seconds("x", None, none="no bound")
    assert right >= 0


@pytest.mark.parametrize("wrong", [-1, -0.1, float("nan"), True, "1", b"", [], None])
def test_seconds_when_they_can_not_be_waited_for_then_config_error(wrong: Any) -> None:
    """The message has the name of the option and what was given."""
    with pytest.raises(trioserver.ConfigError, match="linger must be") as caught:
        check_seconds("linger", wrong)
    assert repr(wrong) in str(caught.value)
    with pytest.raises(trioserver.ConfigError, match="or None for no bound"):
        check_seconds("linger", "?", none="no bound")


@pytest.mark.parametrize("wrong", [0, -1, 1.0, True, "1", None])
def test_count_when_it_is_no_whole_number_large_enough_then_config_error(wrong: Any) -> None:
    """Whole numbers from the least allowed pass, nothing else."""
    check_count("x", 1)
    check_count("x", -1, least=-1)
    check_count("x", None, none="no limit")
    with pytest.raises(trioserver.ConfigError, match="max_requests must be"):
        check_count("max_requests", wrong)


def test_errors_when_the_base_is_raised_then_type_error() -> None:
    """An error has to say whose fault it is; the base is for catching."""
    with pytest.raises(TypeError, match="abstract"):
        trioserver.TrioServerError("whose fault?")


@pytest.mark.parametrize(
    ("error", "bases"),
    [
        (trioserver.ConfigError("x"), (ValueError,)),
        (trioserver.LifecycleError("x"), (RuntimeError,)),
        (trioserver.ServerClosed("x"), (trioserver.LifecycleError,)),
        (trioserver.AlreadyServing("x"), (trioserver.LifecycleError,)),
        (trioserver.WrongTask("x"), (trioserver.LifecycleError,)),
        (trioserver.LimitExceeded("x", limit=5), (trioserver.TransportError,)),
        (trioserver.IncompleteRead(b"x", 5), (trioserver.TransportError, EOFError)),
        (trioserver.StreamTimeout(5), (trioserver.TransportError, TimeoutError)),
    ],
)
def test_errors_when_raised_then_they_are_caught_by_their_bases(
    error: Exception, bases: tuple[type[Exception], ...]
) -> None:
    """Each is ours and also what a user of the stdlib would catch."""
    for base in (*bases, trioserver.TrioServerError):
        with pytest.raises(base):
            raise error
    assert str(error)


def test_p3_counts_when_requests_end_then_each_is_in_exactly_one() -> None:
    """Counting an outcome adds one in one place, and sums and reports keep the counts."""
    counts = Counts()
    for outcome, times in zip(Outcome, (1, 2, 3, 4), strict=True):
        for _ in range(times):
            counts.accepted += 1
            counts.add(outcome)
    total = counts.plus(counts).report(1.5)
    assert (total.finished, total.failed, total.cancelled, total.rejected) == (2, 4, 6, 8)
    assert total.accepted == 20
    assert total.duration == 1.5
