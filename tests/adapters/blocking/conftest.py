"""What every test of this folder is asked: whether it left a thread behind."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .kit import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def threads() -> set[str]:
    """The threads that there are, also those that ``threading`` does not know.

    But for the idle ones that trio keeps for ten seconds: they hold nothing. One that works has another name.
    """
    if sys.platform != "linux":
        return {f"{thread.name} {thread.native_id}" for thread in threading.enumerate()}
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # it has ended meanwhile
            found.add(f"{(task / 'comm').read_text().strip()} {task.name}")
    return {thread for thread in found if not thread.startswith("Trio thread")}


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    """Neither of the server's nor of the test's."""
    before = threads()
    yield
    until = time.monotonic() + 5  # those of the test's that end by themselves
    while (left := threads() - before) and time.monotonic() < until:
        time.sleep(0.001)
    assert left == set()


@pytest.fixture
def call(no_thread_is_left: None) -> Iterator[Callable[..., Call]]:
    """``call(function, *args)``: a `Call` in another thread, that ends before the test does."""
    calls: list[Call] = []

    def call(function: Callable[..., Any], *args: Any) -> Call:
        calls.append(Call(function, *args))
        return calls[-1]

    yield call
    for each in calls:
        each.join(5)
    assert [each for each in calls if each.is_alive()] == []
