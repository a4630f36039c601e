"""Fixtures for pytest, with pytest-trio: a simulated network, servers on it, a seed that replays failures.

Where trioserver is installed pytest has them without a word. In a checkout it needs
``-p trioserver.testing.pytest_plugin``, or ``pytest_plugins = ["trioserver.testing.pytest_plugin"]`` in the
``conftest.py`` of the root.

    network   a `Network` that is entered, under a mock clock that jumps, all from one seed
    serve     starts servers on it, stops them, and fails the test if one of their handlers did; see `Serve`

    --trioserver-seed=N                         the seed of all tests, whatever their markers say
    @pytest.mark.trioserver(seed=N, loss=0.1)   the seed of one, and options of its `Network`

The seed of a failing test, and the command that runs it again, are in its report.
"""

from __future__ import annotations

import contextlib
import os
import random
from typing import TYPE_CHECKING, Any

import pytest
import trio

from ._served import Serve
from ._test_run import TestRun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator
    from pathlib import Path

    from ._network import Network

_RUN = pytest.StashKey[TestRun]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--trioserver-seed``."""
    with contextlib.suppress(ValueError):  # where trioserver is installed it is there already
        parser.getgroup("trioserver").addoption(
            "--trioserver-seed",
            type=int,
            metavar="N",
            help="the seed of trioserver's fixture 'network', whatever the marker says; "
            "by default the marker's, or another one for each test",
        )


def pytest_configure(config: pytest.Config) -> None:
    """Explain the marker."""
    config.addinivalue_line(
        "markers",
        "trioserver(seed=None, **options): the seed of the fixture 'network' for this test, and options of "
        "its trioserver.testing.Network, such as latency or loss",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put the seed, the command and the end of the log into the report of a test that failed."""
    report = yield
    run = item.stash.get(_RUN, None)
    if run is not None and report.failed:
        report.sections.append(("trioserver", run.report(_argument_for(item))))
    return report


def _argument_for(item: pytest.Item) -> str:
    """What names the test where pytest was started, which need not be the folder that node ids begin at."""
    path: str | Path = item.path
    with contextlib.suppress(ValueError):  # on another drive
        path = os.path.relpath(path, item.config.invocation_params.dir)
    return f"{path}::{item.nodeid.partition('::')[2]}"


@pytest.fixture
def _trioserver_run(request: pytest.FixtureRequest) -> TestRun:
    """What runs the test: pytest-trio asks the marker ``trio`` for it."""
    item = request.node
    if item.get_closest_marker("trio") is None:
        pytest.fail(
            "the fixtures network and serve are for asynchronous tests with pytest-trio: "
            "mark the test with @pytest.mark.trio, or set trio_mode = true",
            pytrace=False,
        )
    options: dict[str, Any] = {}
    for marker in reversed(list(item.iter_markers("trioserver"))):  # the closest one last
        if marker.args:
            pytest.fail(
                "the marker trioserver takes its arguments by name, as in trioserver(seed=1, loss=0.1), "
                f"not {marker.args!r}",
                pytrace=False,
            )
        options.update(marker.kwargs)
    seed, marked = request.config.getoption("--trioserver-seed"), options.pop("seed", None)
    if seed is None:
        seed = marked
    if seed is None:
        seed = random.SystemRandom().randrange(2**32)
    runs = (marker.kwargs["run"] for marker in item.iter_markers("trio") if "run" in marker.kwargs)
    again: TestRun | None = item.stash.get(_RUN, None)
    if again is not None:
        # Other plugins run a test that failed once more; pytest-trio then runs it as it did before.
        again.prepare(seed, options)
        return again
    run = TestRun(seed, options, next(runs, None) or trio.run)
    item.stash[_RUN] = run
    item.add_marker(pytest.mark.trio(run=run), append=False)
    return run


@pytest.fixture
async def network(_trioserver_run: TestRun) -> AsyncIterator[Network]:
    """A simulated network, entered, under a mock clock that jumps; no socket on it may be left open."""
    if not _trioserver_run.running:
        raise RuntimeError(
            "the fixture network needs pytest-trio's own way to run a test, which Hypothesis does not use: "
            "call trioserver.testing.run() in the test instead"
        )
    with _trioserver_run.make_network() as network:
        yield network
        _trioserver_run.note_open_sockets()


@pytest.fixture
async def serve(network: Network, _trioserver_run: TestRun) -> AsyncIterator[Serve]:
    """Starts servers on the network: ``server = await serve(trioserver.TCPServer, Handler)``."""
    async with trio.open_nursery() as nursery:
        serve = Serve(network, nursery)
        yield serve
        # Raised outside of all nurseries, pytest-trio's too, each of which would make it a group.
        _trioserver_run.failure = await serve.stop()
