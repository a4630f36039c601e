"""Certificates, made once, and connected streams on both ways to wait."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from ..transports.kit import wires_on
from .kit import Certificates

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from ..transports.kit import Wires


@pytest.fixture(scope="session")
def certificates() -> Certificates:
    """An authority and a server's certificate."""
    return Certificates()


@pytest.fixture(scope="session")
def server_context(certificates: Certificates) -> ssl.SSLContext:
    """A context for servers; not to be changed."""
    return certificates.shared_server_context()


@pytest.fixture(scope="session")
def client_context(certificates: Certificates) -> ssl.SSLContext:
    """A context for clients that trust that server; not to be changed."""
    return certificates.shared_client_context()


@pytest.fixture(params=["epoll", "portable"])
async def wires(request: pytest.FixtureRequest) -> AsyncIterator[Wires]:
    """Makes connected streams, once on an epoll of our own and once through trio's I/O manager."""
    path: str = request.param
    if path == "epoll" and sys.platform != "linux":
        pytest.skip("epoll exists on Linux only")
    async with wires_on(path) as wires:
        yield wires
