"""Bug 9: a stream handler whose ``setup()`` leaves the base's out fails in ``finish()``, and hides why."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from .kit import ask, isolated, serving, variant


def make(module: Any, errors: list[BaseException], **methods: Any) -> Any:
    """A server that keeps its errors, with a handler that has these methods."""

    def handle_error(self: Any, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        assert error is not None
        errors.append(error)

    handler = variant(module.StreamRequestHandler, **methods)
    return variant(module.ThreadingTCPServer, handle_error=handle_error)(("127.0.0.1", 0), handler)


def nothing(self: Any) -> None:
    """A ``setup()`` that does not call the base's."""


def only_rfile(self: Any) -> None:
    """One that does the half of it."""
    self.rfile = self.request.makefile("rb")


def only_wfile(self: Any) -> None:
    """One that does the other half."""
    self.wfile = self.request.makefile("wb")


def raw_echo(self: Any) -> None:
    """A handler that needs neither file."""
    self.request.sendall(self.request.recv(100))


def failing(self: Any) -> None:
    """One with a bug."""
    raise ValueError("the first error")


@pytest.mark.parametrize("setup", [nothing, only_rfile, only_wfile])
@isolated
def test_finish_when_setup_was_left_out_then_there_is_no_error(module: Any, setup: Any) -> None:
    """A handler that uses the socket itself needs no files, and so none is closed."""
    errors: list[BaseException] = []
    with serving(server := make(module, errors, setup=setup, handle=raw_echo)):
        assert ask(server, b"hello") == b"hello"
    assert errors == []


@pytest.mark.parametrize("setup", [nothing, only_rfile, only_wfile])
@isolated
def test_finish_when_handle_failed_without_setup_then_that_error_is_reported(module: Any, setup: Any) -> None:
    """And not one of ``finish()``, with it as a mere context."""
    errors: list[BaseException] = []
    with serving(server := make(module, errors, setup=setup, handle=failing)):
        assert ask(server) == b""
    assert [str(error) for error in errors] == ["the first error"]


@pytest.mark.parametrize("name", ["wfile", "rfile"])
@isolated
def test_finish_when_a_file_was_taken_away_then_there_is_no_error(module: Any, name: str) -> None:
    """By a handler that gave the connection to something else, as upgrades to other protocols do."""

    def handle(self: Any) -> None:
        raw_echo(self)
        file = getattr(self, name)
        delattr(self, name)
        file.close()

    errors: list[BaseException] = []
    with serving(server := make(module, errors, handle=handle)):
        assert ask(server, b"hello") == b"hello"
    assert errors == []
