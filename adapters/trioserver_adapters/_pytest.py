"""What pytest loads of a project that has trioserver installed: next to nothing, until there is a use for it.

An entry point of ``trioserver.testing.pytest_plugin`` itself would import trio into each run of pytest, of
each project that shares the environment. This module imports nothing; the plugin follows where pytest-trio
is, and trio with it.
"""

from __future__ import annotations

import importlib
from typing import Any


def pytest_addoption(parser: Any) -> None:
    """Add ``--trioserver-seed``: options are wanted before anything else."""
    parser.getgroup("trioserver").addoption(
        "--trioserver-seed",
        type=int,
        metavar="N",
        help="the seed of trioserver's fixture 'network'; by default another one for each test",
    )


def pytest_configure(config: Any) -> None:
    """Load the fixtures, if there is pytest-trio to use them with."""
    plugins = config.pluginmanager
    if plugins.hasplugin("trio"):  # the name of its entry point
        plugins.register(importlib.import_module("trioserver.testing.pytest_plugin"), "trioserver fixtures")
