"""Connected streams for the tests of the transports, on both ways to wait."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from .kit import wires_on

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .kit import Wires


@pytest.fixture(params=["epoll", "portable"])
async def wires(request: pytest.FixtureRequest) -> AsyncIterator[Wires]:
    """Makes connected streams, once on an epoll of our own and once through trio's I/O manager."""
    path: str = request.param
    if path == "epoll" and sys.platform != "linux":
        pytest.skip("epoll exists on Linux only")
    async with wires_on(path) as wires:
        yield wires
