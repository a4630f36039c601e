"""Stream servers with threads: the fixture by which a test runs over each."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from .kit import make_server

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(params=["tcp", "unix"])
def make(request: pytest.FixtureRequest, io_path: str, tmp_path: Path) -> Callable[..., Any]:
    """Makes a stream server with threads, of either transport, on either way to wait for sockets."""

    def make(handler: Any, **options: Any) -> Any:
        return make_server(request.param, handler, tmp_path, **options)

    return make


@pytest.fixture(params=["udp", "unix datagram"])
def make_datagram(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    """Makes a datagram server with threads, of either transport."""
    return partial(_make, request.param, tmp_path)


def _make(kind: str, folder: Path, handler: Any, **options: Any) -> Any:
    return make_server(kind, handler, folder, **options)
