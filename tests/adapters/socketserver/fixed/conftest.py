"""Both modules: what the stdlib's is known to do wrong is expected to fail there, and must not on ours."""

from __future__ import annotations

import importlib
import socketserver
from typing import Any

import pytest

STDLIB = pytest.param(
    "socketserver",
    id="stdlib",
    marks=pytest.mark.xfail(strict=True, raises=AssertionError, reason="a bug of the stdlib's module"),
)
OURS = pytest.param("trioserver_adapters.socketserver", id="ours")


@pytest.fixture(params=[STDLIB, OURS])
def module(request: pytest.FixtureRequest) -> Any:
    """The module under test. The stdlib's must fail, by an assertion."""
    return importlib.import_module(request.param)


@pytest.fixture(params=[pytest.param("socketserver", id="stdlib"), OURS])
def either(request: pytest.FixtureRequest) -> Any:
    """The module under test, where a fix must not change what programs know: neither may fail."""
    return importlib.import_module(request.param)


@pytest.fixture
def patience(module: Any) -> float:
    """Seconds to wait for what should come at once: few where it is known that it does not come."""
    return 0.3 if module is socketserver else 10.0
