"""The fixture that runs each test of this folder twice."""

from __future__ import annotations

import socket
import sys
from typing import TYPE_CHECKING

import pytest

from .differences import DIFFERENCES
from .worlds import KernelWorld, NetworkWorld, World

if TYPE_CHECKING:
    from pathlib import Path


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback."""
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.fixture(params=["kernel", "network"])
def world(request: pytest.FixtureRequest) -> World:
    """The kernel's sockets, then simulated ones."""
    if sys.platform != "linux":
        pytest.skip("the network does as Linux does; other kernels do otherwise, and lack some options")
    if request.param == "kernel":
        return KernelWorld()
    name = f"{request.module.__name__.rpartition('.')[2]}.{request.node.originalname}"
    if name in DIFFERENCES:
        request.applymarker(pytest.mark.xfail(reason=DIFFERENCES[name], strict=True))
    return NetworkWorld()


@pytest.fixture
def ipv6(world: World) -> None:
    """Skip the test where it would need an IPv6 that the kernel does not have."""
    if isinstance(world, KernelWorld) and not has_ipv6():
        pytest.skip("this machine has no IPv6")


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A path where nothing is."""
    return str(tmp_path / "s")
