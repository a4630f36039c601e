"""The exceptions as values: where they say they live, and what is left of them in another process."""

from __future__ import annotations

import pickle

import pytest

import trioserver
import trioserver.testing


@pytest.mark.parametrize(
    "error",
    [
        trioserver.ConfigError("no such option"),
        trioserver.WrongTask("not from here"),
        trioserver.LimitExceeded("too long", limit=10),
        trioserver.IncompleteRead(b"half", 8),
        trioserver.StreamTimeout(2.5),
        trioserver.HandshakeError("no TLS"),
        trioserver.WorkerError("it did not start", exit_status=3),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_when_it_is_pickled_then_it_says_and_has_the_same(error: trioserver.TrioServerError) -> None:
    """A handler's process, and multiprocessing, send errors that way."""
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (str(copy), copy.args, vars(copy)) == (str(error), error.args, vars(error))


def test_errors_when_they_are_shown_then_by_their_public_names() -> None:
    """A traceback has the name by which one is caught."""
    errors = {
        name: value
        for name, value in vars(trioserver).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }
    assert len(errors) > 10
    assert [f"{each.__module__}.{each.__qualname__}" for each in errors.values()] == [
        f"trioserver.{name}" for name in errors
    ]


def test_deadlock_when_it_is_shown_then_by_its_public_name() -> None:
    """So does one of the tests' own."""
    assert trioserver.testing.Deadlock.__module__ == "trioserver.testing"
