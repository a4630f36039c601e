"""B51: what was raised in a child, and how it exits."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any

import pytest

from ..kit import names, receive_all, recording

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from .conftest import Journal

    Make = Callable[..., Any]
    Connect = Callable[..., socket.socket]
    Noting = Callable[..., Any]


RAISED: dict[str, tuple[dict[str, BaseException], list[str]]] = {
    "nothing": ({}, ["finish_request", "shutdown_request", "exit 0"]),
    "an Exception": (
        {"finish_request": ValueError()},
        ["finish_request", "handle_error", "shutdown_request", "exit 1"],
    ),
    "sys.exit(0)": ({"finish_request": SystemExit(0)}, ["finish_request", "shutdown_request", "exit 1"]),
    "sys.exit(7)": ({"finish_request": SystemExit(7)}, ["finish_request", "shutdown_request", "exit 1"]),
    "Ctrl-C": ({"finish_request": KeyboardInterrupt()}, ["finish_request", "shutdown_request", "exit 1"]),
    "handle_error": (
        {"finish_request": ValueError(), "handle_error": ValueError()},
        ["finish_request", "handle_error", "shutdown_request", "exit 1"],
    ),
    "shutdown_request": (
        {"shutdown_request": ValueError()},
        ["finish_request", "shutdown_request", "exit 0"],
    ),
}


@pytest.mark.parametrize("raised", RAISED)
def test_b51_the_child_exits_with_0_or_1(
    module: Any, make: Make, connect: Connect, noting: Noting, journal: Journal, raised: str
) -> None:
    """1 when anything was raised, whatever it was; the request is shut down in any case."""
    raising, expected = RAISED[raised]

    def raise_it(name: str) -> Callable[..., Any]:
        def hook(self: Any, *args: Any) -> None:
            if name in raising:
                raise raising[name]

        return hook

    hooks = ("finish_request", "handle_error", "shutdown_request")
    server = make(noting(module.ForkingTCPServer, **{name: raise_it(name) for name in hooks}), None)
    client = connect(server)
    server.handle_request()
    assert receive_all(client) == b""
    assert journal.of_children() == expected


def test_b51_the_report_is_made_while_the_error_is_handled(
    module: Any, make: Make, connect: Connect, journal: Journal
) -> None:
    """By the child, with the request and the client's address."""

    def handle_error(self: Any, request: Any, client_address: Any) -> None:
        journal.note(repr(self.calls[-1].error), client_address[1], request.fileno() != -1)

    def handler(*args: Any) -> None:
        raise ValueError("of the handler")

    server = make(recording(module.ForkingTCPServer, handle_error=handle_error), handler)
    client = connect(server)
    server.handle_request()
    expected = f"{ValueError('of the handler')!r} {client.getsockname()[1]} True"
    assert journal.of_children() == [expected, "exit 1"]
    assert "handle_error" not in names(server)


def test_b51_the_child_leaves_without_cleaning_up(
    make: Make, connect: Connect, journal: Journal, tmp_path: Path
) -> None:
    """What the parent has not yet written out is written once; ``atexit`` functions do not run."""

    def handler(*args: Any) -> None:
        atexit.register(journal.note, "atexit")

    server = make("ForkingTCPServer", handler)
    with open(tmp_path / "file", "w") as file:
        file.write("once")
        connect(server)
        server.handle_request()
        assert journal.of_children() == ["exit 0"]
        server.server_close()
    assert (tmp_path / "file").read_text() == "once"
    assert journal.of_children() == ["exit 0"]
