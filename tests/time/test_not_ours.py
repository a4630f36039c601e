"""An application's own timeouts are never mistaken for the server's."""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Any

import pytest
import trio
from harness import Recorder, client_of, receive_all, wait_until

import trioserver
from trioserver import Outcome

from ..promises.fakes import QueueServer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


async def too_slow() -> None:
    """trio's own exception for an operation that took too long."""
    with trio.fail_after(0):
        await trio.sleep_forever()


async def raise_error(error: BaseException) -> None:
    """An exception of the application, or of a library it uses."""
    await trio.lowlevel.checkpoint()
    raise error


APPLICATION: dict[str, Callable[[], Awaitable[None]]] = {
    "TimeoutError": lambda: raise_error(TimeoutError("the database took too long")),
    "socket.timeout": lambda: raise_error(socket.timeout("timed out")),  # noqa: UP041 - as programs say it
    "asyncio.TimeoutError": lambda: raise_error(asyncio.TimeoutError()),  # noqa: UP041
    "trio.TooSlowError": too_slow,
    "in a group": lambda: raise_error(ExceptionGroup("tasks", [TimeoutError("a"), trio.TooSlowError()])),
}


@pytest.mark.parametrize("name", list(APPLICATION))
async def test_timeout_of_the_application_then_it_is_an_error_like_any_other(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """No timeout is told, neither to ``finish`` nor to observers, and it is reported at ERROR."""
    seen: list[tuple[trioserver.Timeout, ...]] = []

    class Handler(trioserver.StreamRequestHandler):
        timeout = 60.0

        async def handle(self) -> None:
            await APPLICATION[name]()

        async def finish(self) -> None:
            seen.append(self.timeouts)

    server = trioserver.TCPServer(("127.0.0.1", 0), Handler, request_timeout=60)
    server.add_observer(recorder := Recorder())
    with caplog.at_level(logging.DEBUG, logger="trioserver"):
        async with server.running(), client_of(server) as client:
            assert await receive_all(client) == b""
            await wait_until(lambda: not server.requests)
    (ended,) = (event for event in recorder.events if isinstance(event, trioserver.RequestEnded))
    assert (ended.outcome, ended.timeouts) == (Outcome.FAILED, ())
    assert seen == [()]
    (log,) = caplog.records
    assert log.levelno == logging.ERROR
    assert log.exc_info is not None
    assert log.exc_info[1] is ended.error


async def test_timeout_of_the_handlers_own_client_then_it_is_one_line_at_debug(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """To tell the two apart: this one is the client's doing, and fills no log with tracebacks."""

    class Handler(trioserver.StreamRequestHandler):
        timeout = 0.01

        async def handle(self) -> None:
            await self.rfile.readline()

    server = trioserver.TCPServer(("127.0.0.1", 0), Handler)
    with caplog.at_level(logging.DEBUG, logger="trioserver"):
        async with server.running(), client_of(server) as client:
            assert await receive_all(client) == b""
    (log,) = caplog.records
    assert (log.levelno, log.exc_info) == (logging.DEBUG, None)
    assert "0.01 s" in log.getMessage()


async def test_timeout_of_another_connection_then_it_is_told_for_that_one_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A handler that waits for the client of another request: not the doing of its own client."""
    streams: list[trioserver.RequestStream] = []

    async def handler(request: trioserver.RequestStream, client_address: Any, server: object) -> None:
        streams.append(request)
        if len(streams) == 1:
            await trio.sleep_forever()
        streams[0].timeout = 0.01
        await streams[0].receive_some()

    server = trioserver.TCPServer(("127.0.0.1", 0), handler)
    server.add_observer(recorder := Recorder())
    with caplog.at_level(logging.DEBUG, logger="trioserver"):
        async with server.running():
            async with client_of(server):
                await wait_until(lambda: streams)
                async with client_of(server) as second:
                    assert await receive_all(second) == b""
                    await wait_until(lambda: len(server.requests) == 1)
    second_ended, first_ended = (e for e in recorder.events if isinstance(e, trioserver.RequestEnded))
    assert isinstance(second_ended.error, trioserver.StreamTimeout)
    assert second_ended.timeouts == ()
    assert first_ended.timeouts == (trioserver.Timeout.WAIT,)
    (log,) = caplog.records
    assert log.levelno == logging.ERROR


async def test_cancellation_by_the_application_then_no_timeout_is_told(autojump_clock: Any) -> None:
    """A scope of the handler's that is over, or ``Request.cancel()``, is no timeout of the server's."""

    async def handler(request: Any, client_address: Any, server: Any) -> None:
        with trio.move_on_after(2):
            await trio.sleep_forever()
        if request == "cancelled":
            record = server.current_request()
            assert record is not None
            record.cancel()
            await trio.sleep_forever()

    server = QueueServer(handler, request_timeout=60)
    async with server.running():
        server.put("own scope", "cancelled")
        await trio.sleep(10)
    assert [(ended.outcome, ended.timeouts) for ended in server.ended()] == [
        (Outcome.FINISHED, ()),
        (Outcome.CANCELLED, ()),
    ]
