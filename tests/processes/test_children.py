"""One child, without a server: what may go wrong around the fork, and at the end."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
import trio
from forking import has_children

from trioserver._transports.children import fork

if TYPE_CHECKING:
    from trioserver._transports.in_child import Report


def sleep(report: Report) -> int:
    """A child that does not end by itself."""
    time.sleep(100)
    return 0


class RaisedByHandlerError(Exception):
    """What a signal's handler raises."""


def descriptors() -> int:
    """How many are open."""
    return len(os.listdir("/dev/fd"))


async def test_fork_when_a_signal_handler_raises_right_after_it_then_the_child_is_reaped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As that of pytest-timeout does: nobody would know of the child."""

    def handler(signum: int, frame: object) -> None:
        raise RaisedByHandlerError

    real_fork = os.fork

    def fork_and_signal() -> int:
        if (pid := real_fork()) > 0:
            # To this thread: a worker thread that another test has left would not have it blocked.
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        return pid

    before = signal.signal(signal.SIGUSR1, handler)
    monkeypatch.setattr(os, "fork", fork_and_signal)
    count = descriptors()
    try:
        with pytest.raises(RaisedByHandlerError):
            fork(sleep)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert not has_children()
    assert descriptors() == count
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


async def test_child_when_closed_while_it_runs_then_is_killed_and_reaped() -> None:
    """However one gets there."""
    count = descriptors()
    child = fork(sleep)
    child.close()
    assert (child.ended, child.exit_status) == (True, -signal.SIGKILL)
    assert not has_children()
    assert descriptors() == count


@pytest.mark.parametrize("pidfd", [True, False])
async def test_signal_when_the_child_has_ended_then_is_not_sent(
    pidfd: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number may be another process's by then."""
    if not pidfd:
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    child = fork(lambda report: 4)
    await child.wait()

    def refuse(*args: object) -> None:
        raise AssertionError("a signal was sent")

    monkeypatch.setattr(os, "kill", refuse)
    monkeypatch.setattr(signal, "pidfd_send_signal", refuse, raising=False)
    child.send_signal(signal.SIGTERM)
    child.close()
    assert child.exit_status == 4


async def test_report_when_a_process_of_the_child_has_its_end_then_nobody_waits_for_that() -> None:
    """Reading it does not block, and it is cut to what fits."""
    reader, writer = os.pipe()

    def serve(report: Report) -> int:
        report(b"x" * 100_000)
        if os.fork() == 0:
            os.close(writer)
            os.read(reader, 1)  # until the test is over
        return 0

    with trio.fail_after(5):
        child = fork(serve)
        await child.wait()
    assert child.report == b"x" * 512
    child.close()
    os.close(writer)
    os.close(reader)
