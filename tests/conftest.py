"""What every test gets: a look at the descriptors before and after, and the two ways to wait for sockets."""

from __future__ import annotations

import gc
import os
import signal
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

import trioserver

if TYPE_CHECKING:
    from collections.abc import Iterator


# The same examples each time, however long they take on a busy machine: what fails then, fails by a change.
# To look for more: --hypothesis-profile=default.
settings.register_profile(
    "trioserver", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("trioserver")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started in the background of a script: what Ctrl-C does could not be tested, here or in child processes.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch to the other of the two ways to wait for connections."""
    parser.addoption(
        "--portable-io",
        action="store_true",
        help="run everything with StreamServer.portable_io, as on systems other than Linux",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Throw the switch, for this process and those that it starts from a copy of itself."""
    if config.getoption("--portable-io"):
        trioserver.StreamServer.portable_io = True


def pytest_collection_finish() -> None:
    """Keep what was imported out of the garbage collections that each test begins with."""
    gc.collect()
    gc.freeze()


def open_descriptors() -> dict[int, str]:
    """The descriptors of this process and what they are."""
    folder = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
    found = {}
    for name in os.listdir(folder):
        try:
            found[int(name)] = os.readlink(f"{folder}/{name}") if sys.platform == "linux" else "?"
        except OSError:
            continue  # the one that listing the folder needed
    return found


@pytest.fixture(autouse=True)
def no_descriptor_is_left_open() -> Iterator[None]:
    """P1, P2 and P7 in every single test: what was opened was closed, not left to the garbage collector."""
    gc.collect()
    gc.freeze()  # what is still there stays, and need not be looked at before every test to come
    before = open_descriptors()
    gc.disable()
    try:
        yield
        after = open_descriptors()
    finally:
        gc.enable()
    left = {fd: what for fd, what in after.items() if before.get(fd) != what}
    sockets = {fd: what for fd, what in left.items() if what.startswith(("socket:", "anon_inode:", "?"))}
    assert sockets == {}


@pytest.fixture(autouse=True)
def the_trace_function_is_given_back() -> Iterator[None]:
    """A test that traces must not end what else traces: the coverage of all tests after it would be lost."""
    before = sys.gettrace()
    yield
    assert sys.gettrace() is before


@pytest.fixture(params=["epoll", "portable"])
def io_path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test on both ways to wait for connections; see ``StreamServer.portable_io``."""
    name: str = request.param
    if name == "epoll" and sys.platform != "linux":
        pytest.skip("epoll exists on Linux only")
    monkeypatch.setattr(trioserver.StreamServer, "portable_io", name == "portable")
    return name
