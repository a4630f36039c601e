"""P7's table: what each error of accept means, and how long exhaustion is waited out."""

from __future__ import annotations

import errno

import pytest

from trioserver._vocabulary.accept_errors import Backoff, Verdict, verdict

SKIPPED = [
    "ECONNABORTED",
    "ECONNRESET",
    "EPERM",
    "EPROTO",
    "ENETDOWN",
    "ENOPROTOOPT",
    "EHOSTDOWN",
    "ENONET",
    "EHOSTUNREACH",
    "EOPNOTSUPP",
    "ENETUNREACH",
    "ETIMEDOUT",
]


def error(name: str) -> OSError:
    """The error of that name; skips where the platform has none."""
    if not hasattr(errno, name):
        pytest.skip(f"no {name} here")
    return OSError(getattr(errno, name), name)


@pytest.mark.parametrize("name", SKIPPED)
def test_p7_verdict_when_one_connection_is_concerned_then_skip(name: str) -> None:
    """accept(2)'s pending network errors concern a connection that is gone."""
    assert verdict(error(name)) is Verdict.SKIP


@pytest.mark.parametrize("name", ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"])
def test_p7_verdict_when_something_is_exhausted_then_back_off(name: str) -> None:
    """Exhaustion passes, and the kernel's backlog keeps the clients meanwhile."""
    assert verdict(error(name)) is Verdict.BACK_OFF


@pytest.mark.parametrize("name", ["EBADF", "EINVAL", "ENOTSOCK", "EFAULT", "EACCES"])
def test_p7_verdict_when_the_listener_is_unusable_then_fatal(name: str) -> None:
    """What can not pass stops the server."""
    assert verdict(error(name)) is Verdict.FATAL


def test_p7_verdict_when_there_is_no_errno_then_fatal() -> None:
    """An error that says nothing is not guessed at."""
    assert verdict(OSError("odd")) is Verdict.FATAL


def test_p7_backoff_when_failures_go_on_then_delays_double_up_to_a_second() -> None:
    """10 ms, doubling, at most 1 s; from the start after a success."""
    backoff = Backoff()
    assert not backoff.active
    delays = [backoff.next_delay() for _ in range(9)]
    assert delays == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]
    assert backoff.active
    backoff.reset()
    assert not backoff.active
    assert backoff.next_delay() == 0.01


def test_p7_backoff_when_too_many_are_skipped_in_a_row_then_it_says_so() -> None:
    """An unbroken row of errors to skip would spin: after 64 of them it is time to wait."""
    backoff = Backoff()
    assert not any(backoff.skipped() for _ in range(64))
    assert backoff.skipped()
    backoff.reset()
    assert not backoff.skipped()
