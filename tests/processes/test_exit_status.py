"""How a process ended: the event, the outcome, and what is logged where."""

from __future__ import annotations

import logging
import os
import signal
import socket
import struct
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio
from forking import Server, ready_then_wait, serving
from harness import client_of, receive_all, receive_exactly

import trioserver
from trioserver import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable


def exits(code: Any) -> Callable[[Any, Any, Any], object]:
    """A handler that calls ``sys.exit(code)``."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        sys.exit(code)

    return handler


def raises(error: BaseException) -> Callable[[Any, Any, Any], object]:
    """A handler that raises ``error``."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        raise error

    return handler


def kills_itself(request: Any, client_address: Any, server: Any) -> None:
    """A handler whose process is killed from outside."""
    os.kill(os.getpid(), signal.SIGKILL)


class Fatal(BaseException):
    """No Exception."""


@pytest.mark.parametrize(
    ("handler", "status", "level"),
    [
        (lambda *_: None, 0, None),
        (exits(None), 0, None),
        (exits(0), 0, None),
        (exits(3), 3, logging.ERROR),
        (exits(259), 3, logging.ERROR),
        (exits("the text of it"), 1, logging.ERROR),
        (raises(ValueError("v")), 1, logging.DEBUG),
        (raises(Fatal()), 1, logging.DEBUG),
        (raises(GeneratorExit()), 1, logging.DEBUG),
        (raises(KeyboardInterrupt()), -signal.SIGINT, logging.DEBUG),
        (kills_itself, -signal.SIGKILL, logging.ERROR),
    ],
)
async def test_process_when_it_ends_then_the_event_has_its_status(
    handler: Callable[[Any, Any, Any], object],
    status: int,
    level: int | None,
    caplog: pytest.LogCaptureFixture,
    io_path: str,
) -> None:
    """Any status but 0 is a HandlerProcessError and one line: at ERROR, unless the process has told."""
    caplog.set_level(logging.DEBUG, "trioserver")
    async with serving(handler) as server, client_of(server) as client:
        assert await receive_all(client) == b""
        event = await server.wait_ended()
    assert event.exit_status == status
    if level is None:
        assert (event.outcome, event.error) == (Outcome.FINISHED, None)
        assert caplog.records == []
    else:
        assert event.outcome is Outcome.FAILED
        assert isinstance(event.error, trioserver.HandlerProcessError)
        assert event.error.exit_status == status
        (record,) = caplog.records
        assert (record.levelno, record.exc_info) == (level, None)
        assert "127.0.0.1:" in record.getMessage()


async def test_exception_when_raised_in_a_process_then_is_reported_there_with_its_traceback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The logger is the process's copy; the parent, and the event, know what it was."""
    output = logging.StreamHandler(os.fdopen(2, "w", closefd=False))
    logging.getLogger("trioserver").addHandler(output)
    try:
        async with serving(raises(ValueError("what it was"))) as server, client_of(server) as client:
            assert await receive_all(client) == b""
            event = await server.wait_ended()
    finally:
        logging.getLogger("trioserver").removeHandler(output)
        output.stream.close()
    errors = capfd.readouterr().err
    assert errors.count("Traceback") == 1
    assert "Exception while serving the request from 127.0.0.1:" in errors
    assert "ValueError: what it was" in errors
    assert "ValueError: what it was" in str(event.error)


async def test_client_when_it_resets_the_connection_then_there_is_no_traceback(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """That it is gone is its own affair: a line at DEBUG in the process, and one in the parent."""

    def handler(request: Any, client_address: Any, server: Any) -> None:
        os.close(server.clients_descriptor)  # a copy, which would keep the connection open
        request.sendall(b"r")
        while True:
            request.sendall(request.recv(1) or b"x")

    class WithClient(Server):
        clients_descriptor = -1

    async with WithClient(handler).running() as server:
        sock = socket.create_connection(server.server_address)
        server.clients_descriptor = sock.fileno()
        assert await trio.to_thread.run_sync(sock.recv, 1) == b"r"
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
        event = await server.wait_ended()
    assert event.exit_status == 1
    assert "Traceback" not in capfd.readouterr().err


async def test_process_when_killed_from_outside_then_its_client_sees_the_end(io_path: str) -> None:
    """The parent has the connection, and closes it."""
    async with serving(ready_then_wait) as server, client_of(server) as client:
        assert await receive_exactly(client, 1) == b"r"
        (pid,) = server.active_children
        os.kill(pid, signal.SIGKILL)
        assert await receive_all(client) == b""
        assert (await server.wait_ended()).exit_status == -signal.SIGKILL


@pytest.mark.parametrize("how", ["pidfd", "thread", "poll"])
async def test_process_when_reaped_by_somebody_else_then_the_status_is_unknown(
    how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No hang, no error: where the kernel reaps since SIGCHLD is ignored, or another part of the program."""
    if how != "pidfd":
        monkeypatch.delattr(os, "pidfd_open", raising=False)
    if how == "poll":
        monkeypatch.delattr(os, "waitid")
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        async with serving(ready_then_wait) as server, client_of(server) as client:
            assert await receive_exactly(client, 1) == b"r"
            await client.send_all(b"x")
            event = await server.wait_ended()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert (event.outcome, event.exit_status, event.error) == (Outcome.FINISHED, None, None)


async def test_exception_when_the_status_is_unknown_then_is_known_all_the_same() -> None:
    """The process has said so."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        async with serving(raises(ValueError())) as server, client_of(server) as client:
            assert await receive_all(client) == b""
            event = await server.wait_ended()
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert (event.outcome, event.exit_status) == (Outcome.FAILED, None)


async def test_handle_error_when_overridden_then_gets_the_status() -> None:
    """In the parent, where raising stops the server, as ever."""

    class Strict(Server):
        async def handle_error(self, request: Any, client_address: Any) -> None:
            error = sys.exc_info()[1]
            assert isinstance(error, trioserver.HandlerProcessError)
            raise RuntimeError(f"status {error.exit_status}") from None

    server = Strict(exits(7))
    with pytest.raises(RuntimeError, match="status 7"):
        async with server.running():
            async with client_of(server) as client:
                assert await receive_all(client) == b""
                await trio.sleep_forever()
