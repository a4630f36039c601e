"""What every test of workers is asked: whether it left a process behind."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

if sys.platform == "win32":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    """P1: each process has ended and was reaped."""
    from forking import has_children

    yield
    assert not has_children()
