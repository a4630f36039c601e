"""What every test of forking servers is asked: whether it left a process behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from forking import has_children

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """P1: each process has ended and was reaped; and no process got out of its handler, into this code."""
    pid = os.getpid()
    yield
    if os.getpid() != pid:
        os._exit(99)
    assert not has_children()
