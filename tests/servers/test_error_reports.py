"""What `handle_error` says by default: a bug is one ERROR with a traceback, a lost client one DEBUG line."""

from __future__ import annotations

import logging
import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing
from harness import client_of, receive_all

import trioserver

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    Handler = Callable[[trioserver.RequestStream, Any, Any], Awaitable[object]]


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """The log of ``trioserver``, at every level."""
    with caplog.at_level(logging.DEBUG, logger="trioserver"):
        yield caplog


async def reset(client: trio.SocketStream) -> None:
    """Go away without a word: the server gets a reset."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await client.aclose()


async def serve_and_reset(handler: Handler) -> trioserver.ShutdownReport:
    """Serve a client that sends a byte, waits for one, and resets the connection."""
    async with trioserver.TCPServer(("127.0.0.1", 0), handler).running() as server:
        async with client_of(server) as client:
            assert await client.receive_some(1) == b"x"
            await reset(client)
        report = await server.shutdown(None)
    assert server.requests == ()
    return report


def only_record(log: pytest.LogCaptureFixture) -> logging.LogRecord:
    """The one record there is, which is trioserver's."""
    (record,) = log.records
    assert record.name == "trioserver"
    return record


async def test_error_when_a_handler_raises_then_one_record_has_traceback_and_address(
    log: pytest.LogCaptureFixture, io_path: str
) -> None:
    """A bug is reported once, at ERROR, with where it is and whom it hit."""

    async def handler(request: object, client_address: object, server: object) -> None:
        raise KeyError("a bug")

    async with trioserver.TCPServer(("127.0.0.1", 0), handler).running() as server:
        async with client_of(server) as client:
            host, port = client.socket.getsockname()
            assert await receive_all(client) == b""
        await server.shutdown(None)
    record = only_record(log)
    assert record.levelno == logging.ERROR
    assert record.getMessage() == f"Exception while serving the request from {host}:{port}"
    assert record.exc_info is not None
    assert "KeyError: 'a bug'" in log.text
    assert "Traceback" in log.text


async def test_error_when_a_group_is_raised_then_one_record_has_all_of_it(
    log: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """Errors of a handler's own nursery are one report; the peer of a Unix socket has no name."""

    async def handler(request: object, client_address: object, server: object) -> None:
        raise ExceptionGroup("two", [KeyError("first"), OSError("second")])

    async with trioserver.UnixStreamServer(tmp_path / "s", handler).running() as server:
        async with client_of(server) as client:
            assert await receive_all(client) == b""
        await server.shutdown(None)
    record = only_record(log)
    assert (record.levelno, record.getMessage()) == (
        logging.ERROR,
        "Exception while serving the request from an unnamed socket",
    )
    assert "first" in log.text
    assert "second" in log.text


async def test_error_when_the_client_resets_while_it_is_read_then_one_debug_line(
    log: pytest.LogCaptureFixture, io_path: str
) -> None:
    """A client that went away is no bug: no traceback."""

    async def handler(request: trioserver.RequestStream, client_address: object, server: object) -> None:
        await request.send_all(b"x")
        await request.receive_some()

    report = await serve_and_reset(handler)
    record = only_record(log)
    assert (report.failed, record.levelno, record.exc_info) == (1, logging.DEBUG, None)


async def test_error_when_the_client_resets_in_the_middle_of_a_write_then_one_debug_line(
    log: pytest.LogCaptureFixture, io_path: str
) -> None:
    """Also when the handler was sending, and inside a nursery of its own."""

    async def handler(request: trioserver.RequestStream, client_address: object, server: object) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request.send_all, b"x" * 50_000_000)

    report = await serve_and_reset(handler)
    record = only_record(log)
    assert (report.failed, record.levelno, record.exc_info) == (1, logging.DEBUG, None)


async def test_error_when_another_stream_breaks_then_it_is_an_error(
    log: pytest.LogCaptureFixture,
) -> None:
    """A BrokenResourceError of a handler's own connection to elsewhere is not the client's doing."""

    async def handler(request: trioserver.RequestStream, client_address: object, server: object) -> None:
        backend, other_end = trio.testing.memory_stream_pair()
        await other_end.aclose()
        await backend.send_all(b"query")

    async with trioserver.TCPServer(("127.0.0.1", 0), handler).running() as server:
        async with client_of(server) as client:
            assert await receive_all(client) == b""
        await server.shutdown(None)
    record = only_record(log)
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None


async def test_error_when_a_client_and_a_bug_come_in_one_group_then_it_is_an_error(
    log: pytest.LogCaptureFixture,
) -> None:
    """A lost client does not hide a bug that is raised beside it."""

    async def handler(request: trioserver.RequestStream, client_address: object, server: object) -> None:
        await request.send_all(b"x")
        try:
            await request.receive_some()
        except trio.BrokenResourceError as gone:
            raise ExceptionGroup("both", [gone, KeyError("a bug")]) from None

    await serve_and_reset(handler)
    record = only_record(log)
    assert record.levelno == logging.ERROR
    assert "a bug" in log.text


async def test_clients_when_many_reset_at_once_then_nothing_of_them_is_left(
    log: pytest.LogCaptureFixture, io_path: str
) -> None:
    """Abrupt clients, before and after they were accepted, are all accounted for."""
    count = 30

    async def handler(request: trioserver.RequestStream, client_address: object, server: object) -> None:
        await request.receive_some()

    async with trioserver.TCPServer(("127.0.0.1", 0), handler).running() as server:
        for _ in range(count):
            async with client_of(server) as client:
                await reset(client)
        report = await server.shutdown(None)
        assert server.requests == ()
    assert report.accepted == report.failed + report.finished
    assert {record.levelno for record in log.records} <= {logging.DEBUG}
