"""Each test of this folder says by itself in which way it serves."""

from __future__ import annotations

import sys

import pytest

import trioserver


@pytest.fixture(autouse=True)
def io_path_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """Serve in place where that is possible, also where the whole suite runs with ``--portable-io``."""
    monkeypatch.setattr(trioserver.StreamServer, "portable_io", sys.platform != "linux")
